"""Rehearses renewals: all that one needs is tried, while nothing that is live, scheduled or journalled is touched.

Read-backs are always required here: a rehearsal is there to find what the settings excuse. A certificate that a test CA
issues is checked and thrown away. Every step is tried, whatever became of the ones before.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Attempt, Lineage
from wellkeeper_issuer.obtain.finalize import finalize
from wellkeeper_issuer.obtain.order import Terms, order
from wellkeeper_issuer.obtain.publish import answers, describe
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.obtain.validate import validate
from wellkeeper_issuer.ports.ca import Authorities
from wellkeeper_issuer.ports.people import Hooks
from wellkeeper_issuer.ports.state import Notes
from wellkeeper_issuer.records import Event, Occasion, Rehearsal
from wellkeeper_node.errors import PublishError, ReloadError, WellkeeperError
from wellkeeper_node.model import Answer, Node
from wellkeeper_node.ports import Clock, Nginx, Probes, Progress, Responders
from wellkeeper_node.steps import Steps
from wellkeeper_node.wording import counted

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 4
# What the settings ask for is days.
_LOOK_SECONDS: Final = 3600.0
_LEAST_SHARE: Final = 20
# What the failed hook is told, so that whoever reads its message knows.
_NO_ERROR: Final = "none: this is a rehearsal"


@dataclass(frozen=True, slots=True)
class RehearsalDeps:
    """What a rehearsal needs of the world; nothing here can write what is live.

    `check_trust` says what was compared, and raises with every CA whose thumbprint a responder has not pinned.
    `ask_ca` gives, for a CA's directory URL, the named requests that a renewal sends first and that change nothing.
    `request` gives key and CSR as for a real order; `test_directory_url` is the CA that one is tried with, if any.
    """

    authorities: Authorities
    responders: Responders
    nodes: tuple[Node, ...]
    probes: Probes
    nginx: Nginx
    hooks: Hooks
    clock: Clock
    progress: Progress
    check_trust: Callable[[], Awaitable[str]]
    ask_ca: Callable[[str], Sequence[tuple[str, Callable[[], Awaitable[str]]]]]
    make_token: Callable[[], str]
    live_path: Callable[[str], str]
    request: Callable[[Lineage, str], Awaitable[tuple[bytes, bytes] | None]]
    throttle: Throttle
    test_directory_url: str | None = None


async def rehearse(lineages: Sequence[Lineage], deps: RehearsalDeps) -> list[Rehearsal]:
    """One result a lineage, in order; what concerns all is tried once and counts for each. None of ours is raised."""
    everyone = tuple(one.name for one in lineages)
    steps = Steps(everyone[0] if len(everyone) == 1 else f"{len(everyone)} certificates", deps.clock, deps.progress)
    about = Occasion(everyone, is_rehearsal=True)
    shared = [
        await _try(steps, "trust", deps.check_trust()),
        await _try(steps, "nginx", _test_nginx(deps.nginx)),
        await _try_hook(steps, Event.PRE, about, deps.hooks),
    ]
    asked = {url: await _ask(steps, deps.ask_ca(url)) for url in _directory_urls(lineages)}
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one_at_its_turn(lineage: Lineage) -> list[str]:
        async with slots:
            return await _rehearse_one(lineage, deps)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one_at_its_turn(lineage)) for lineage in lineages]
    shared.append(await _try_hook(steps, Event.POST, about, deps.hooks))
    return [
        _result(lineage, [cause for cause in (*shared, *_of_cas(lineage, asked), *task.result()) if cause], deps)
        for lineage, task in zip(lineages, tasks, strict=True)
    ]


def _directory_urls(lineages: Sequence[Lineage]) -> Sequence[str]:
    """Every CA of these, once; the first ones first."""
    return tuple(dict.fromkeys(url for lineage in lineages for url in lineage.directory_urls))


async def _ask(steps: Steps, requests: Sequence[tuple[str, Callable[[], Awaitable[str]]]]) -> str | None:
    """Return why the first request failed that did; those after it need its answer."""
    for name, send in requests:
        cause = await _try(steps, name, send())
        if cause is not None:
            return cause
    return None


def _of_cas(lineage: Lineage, asked: Mapping[str, str | None]) -> Sequence[str | None]:
    return [asked[url] for url in lineage.directory_urls]


async def _rehearse_one(lineage: Lineage, deps: RehearsalDeps) -> list[str]:
    """What went wrong, a sentence each."""
    steps = Steps(lineage.name, deps.clock, deps.progress)
    about = Occasion((lineage.name,), lineage.identifiers, deps.live_path(lineage.name), is_rehearsal=True)
    causes = [await _try(steps, "publish", _publish(lineage, deps))]
    if deps.test_directory_url is not None:
        causes.append(await _try(steps, "order", _order(lineage, deps, deps.test_directory_url)))
    causes.append(await _try_hook(steps, Event.DEPLOY, about, deps.hooks))
    causes.append(await _try_hook(steps, Event.FAILED, replace(about, error=_NO_ERROR), deps.hooks))
    return [cause for cause in causes if cause]


async def _try(steps: Steps, name: str, work: Awaitable[str]) -> str | None:
    """What went wrong; None when all is well."""
    try:
        with steps.step(name) as step:
            step.detail = await work
    except WellkeeperError as error:
        return f"{name}: {error}"
    return None


async def _try_hook(steps: Steps, event: Event, about: Occasion, hooks: Hooks) -> str | None:
    if not hooks.is_there(event):
        return None

    async def run() -> str:
        await hooks.run(event, about)
        return "told that it is a rehearsal"

    return await _try(steps, f"hook {event}", run())


async def _test_nginx(nginx: Nginx) -> str:
    tested = await nginx.test()
    if not tested.passed:
        raise ReloadError(f"nginx does not take its configuration as it is: {tested.words}")
    return "nginx -t passes"


async def _publish(lineage: Lineage, deps: RehearsalDeps) -> str:
    """As the CA would be answered, with tokens that no CA made."""
    if not lineage.directory_urls:
        raise SettingsError(f"the settings give {lineage.name} no CA")
    thumbprint = deps.authorities.open(lineage.directory_urls[0]).thumbprint
    wanted = [Answer(deps.make_token(), thumbprint, identifier) for identifier in lineage.identifiers]
    async with _published(wanted, deps) as count:
        return f"{counted(len(wanted), 'token')}, read back from {counted(count, 'address', 'addresses')}"


@asynccontextmanager
async def _published(wanted: Sequence[Answer], deps: RehearsalDeps) -> AsyncIterator[int]:
    """Yields how many addresses were asked; raises PublishError with every failure."""
    async with deps.responders.publish(wanted):
        asked = await asyncio.gather(*(deps.probes.read_back(node, one) for node in deps.nodes for one in wanted))
        results = [result for several in asked for result in several]
        failures = [describe(result) for result in results if result.cause is not None]
        if failures:
            raise PublishError("; ".join(failures))
        yield len({(result.node, result.address) for result in results})


async def _order(lineage: Lineage, deps: RehearsalDeps, directory_url: str) -> str:
    """Up to a certificate of the test CA, which nobody keeps."""
    ca, attempts = deps.authorities.open(directory_url), ForgetfulAttempts()
    await deps.throttle.slot()
    attempt, ordered = await order(lineage, ca, attempts, None, Terms(request=deps.request))
    async with _published(answers(ordered, ca.thumbprint), deps):
        await validate(ordered, ca, deps.responders, deps.clock)
    chain_pem = await finalize(attempt, ordered.order, ca, attempts, deps.clock)
    return f"{ca.name} issued a chain of {chain_pem.count(b'-----BEGIN')} certificates, which was thrown away"


class ForgetfulAttempts:
    """`ports.state.Attempts` that nothing is resumed from: the order of a rehearsal ends with it."""

    async def read_attempt(self, lineage: str) -> Attempt | None:
        """Never there."""

    async def record_attempt(self, attempt: Attempt) -> None:
        """Nothing to record."""

    async def forget_attempt(self, lineage: str) -> None:
        """Nothing to forget."""

    async def record_order(self, lineage: str, order_url: str) -> None:
        """Nothing to record."""

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None:
        """Nothing to record."""


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """Rehearses by itself. `current` gives the lineages of this moment, and how often each is rehearsed, if ever."""

    current: Callable[[], tuple[Sequence[Lineage], timedelta | None]]
    rehearse: Callable[[Sequence[Lineage]], Awaitable[Sequence[Rehearsal]]]
    notes: Notes
    clock: Clock

    async def run(self) -> None:
        """Looks every hour, first after one, until it is cancelled; a failure is logged and never ends it."""
        while True:
            await self.clock.sleep(_LOOK_SECONDS)
            try:
                for result in await self._rehearse_due():
                    if result.is_well:
                        _log.info("certificate %s: rehearsed, %s", result.lineage, result.detail)
                    else:
                        _log.error("certificate %s: a renewal would fail: %s", result.lineage, result.detail)
            except WellkeeperError as error:
                _log.error("nothing was rehearsed: %s: %s", error.stage, error)

    async def _rehearse_due(self) -> Sequence[Rehearsal]:
        lineages, every = self.current()
        if every is None:
            return ()
        now, last = self.clock.now(), await self.notes.read_rehearsals()
        # What a clock that was ahead wrote down lies in the future, and puts nothing off.
        fresh = {name for name, one in last.items() if now - every < one.at <= now}
        due = sorted((one for one in lineages if one.name not in fresh), key=lambda one: _age_key(last.get(one.name)))
        # As many an hour as have to be: a test CA has limits, and what was rehearsed must not begin anew at a restart.
        share = math.ceil(len(lineages) * _LOOK_SECONDS / every.total_seconds())
        return await self.rehearse(due[: max(share, _LEAST_SHARE)]) if due else ()


def _age_key(last: Rehearsal | None) -> float:
    """What was never rehearsed comes first, then what was longest ago."""
    return 0.0 if last is None else last.at.timestamp()


def _result(lineage: Lineage, causes: Sequence[str], deps: RehearsalDeps) -> Rehearsal:
    return Rehearsal(lineage.name, deps.clock.now(), not causes, "; ".join(causes) or "every step was well")
