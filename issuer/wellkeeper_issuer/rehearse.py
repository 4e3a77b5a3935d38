"""Rehearse renewals: try every step of one, without touching what is live, scheduled or recorded.

Read-backs are always required here, whatever the settings say. A certificate that a test CA issues is checked and
discarded. Every step is tried, even after one failed.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from wellkeeper_issuer.errors import ChallengeError, SettingsError
from wellkeeper_issuer.model import Attempt, Lineage, Order, Ordered, Status
from wellkeeper_issuer.obtain.finalize import finalize
from wellkeeper_issuer.obtain.order import Terms, order
from wellkeeper_issuer.obtain.publish import answers, read_back_error
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.obtain.validate import validate
from wellkeeper_issuer.ports.ca import Authorities, CertificateAuthority
from wellkeeper_issuer.ports.node import RemoteReadBacks
from wellkeeper_issuer.ports.people import Hooks
from wellkeeper_issuer.ports.state import Notes
from wellkeeper_issuer.records import Event, Occasion, Rehearsal
from wellkeeper_node.advice.words import remedy_for
from wellkeeper_node.errors import ReloadError, WellkeeperError
from wellkeeper_node.model import Answer, Node
from wellkeeper_node.ports import Clock, Nginx, Probes, Progress, Responders
from wellkeeper_node.steps import Steps
from wellkeeper_node.wording import counted, with_reload

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 4
# The interval in the settings is in days.
_LOOK_SECONDS: Final = 3600.0
_LEAST_SHARE: Final = 20
# The error that the `failed` hook gets, so that its message can be recognised.
_NO_ERROR: Final = "none: this is a rehearsal"


@dataclass(frozen=True, slots=True)
class RehearsalDeps:
    """Everything that a rehearsal works with; nothing here can write what is live.

    `check_trust` returns what was compared, and raises with every CA whose thumbprint a responder does not trust.
    `ask_ca` returns, for a CA's directory URL, the named requests that a renewal sends first and that change nothing.
    `describe_served` asks nginx for what is installed; it raises VerifyError when nginx serves something else.
    `request` returns key and CSR as for a real order; `test_directory_url` is the test CA to order from, if any.
    `remote` are so many other nodes that read back themselves.
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
    describe_served: Callable[[Lineage], Awaitable[str]] | None = None
    remote: RemoteReadBacks | None = None
    remote_count: int = 0


async def rehearse(lineages: Sequence[Lineage], deps: RehearsalDeps) -> list[Rehearsal]:
    """Return one result per lineage, in order; what concerns all is tried once and counts for each."""
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

    async def rehearse_in_slot(lineage: Lineage) -> list[str]:
        async with slots:
            return await _rehearse_one(lineage, deps)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(rehearse_in_slot(lineage)) for lineage in lineages]
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
    """Return one sentence per failed step."""
    steps = Steps(lineage.name, deps.clock, deps.progress)
    about = Occasion((lineage.name,), lineage.identifiers, deps.live_path(lineage.name), is_rehearsal=True)
    causes = [await _try(steps, "publish", _publish(lineage, deps))]
    if deps.test_directory_url is not None:
        causes.append(await _try(steps, "order", _order(lineage, deps, deps.test_directory_url)))
    if deps.describe_served is not None:
        causes.append(await _try(steps, "verify", deps.describe_served(lineage)))
    causes.append(await _try_hook(steps, Event.DEPLOY, about, deps.hooks))
    causes.append(await _try_hook(steps, Event.FAILED, replace(about, error=_NO_ERROR), deps.hooks))
    return [cause for cause in causes if cause]


async def _try(steps: Steps, name: str, work: Awaitable[str]) -> str | None:
    """Return the failure of the step, or None."""
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
        return "ran, and was informed that it is a rehearsal"

    return await _try(steps, f"hook {event}", run())


async def _test_nginx(nginx: Nginx) -> str:
    await nginx.prove()
    tested = await nginx.test()
    if tested is None:
        return "it may be reloaded; its configuration was not tested, because only a reload can do that"
    if not tested.passed:
        remedy = remedy_for(tested.words) or "Fix it until 'nginx -t' passes."
        raise ReloadError("nginx refuses its present configuration", tested.words, remedy)
    return "nginx -t passes"


async def _publish(lineage: Lineage, deps: RehearsalDeps) -> str:
    """Publish made-up tokens, and read them back as the CA would."""
    if not lineage.directory_urls:
        raise SettingsError(f"certificate {lineage.name} has no CA", remedy=with_reload("Add 'ca' to the settings."))
    thumbprint = deps.authorities.open(lineage.directory_urls[0]).thumbprint
    wanted = [Answer(deps.make_token(), thumbprint, identifier) for identifier in lineage.identifiers]
    async with _published(wanted, deps) as count:
        others = f", and by {counted(deps.remote_count, 'other node')}" if deps.remote_count else ""
        return f"{counted(len(wanted), 'token')}, read back from {counted(count, 'address', 'addresses')}{others}"


@asynccontextmanager
async def _published(wanted: Sequence[Answer], deps: RehearsalDeps) -> AsyncIterator[int]:
    """Publish, and yield how many addresses were asked; raises PublishError with the first failure."""
    async with deps.responders.publish(wanted):
        asked = await asyncio.gather(*(deps.probes.read_back(node, one) for node in deps.nodes for one in wanted))
        results = [result for several in asked for result in several]
        failures = [result for result in results if result.cause is not None]
        failures += await deps.remote.failures(wanted) if deps.remote else ()
        if failures:
            raise read_back_error(failures)
        yield len({(result.node, result.address) for result in results})


async def _order(lineage: Lineage, deps: RehearsalDeps, directory_url: str) -> str:
    """Obtain a certificate of the test CA, and discard it."""
    ca = deps.authorities.open(directory_url)
    attempt, ordered = await _place(lineage, deps, ca)
    reused = await _deactivate_reused(ordered, ca, len(lineage.identifiers))
    if reused:
        attempt, ordered = await _place(lineage, deps, ca)
    async with _published(answers(ordered, ca.thumbprint), deps):
        await validate(ordered, ca, deps.responders, deps.clock)
    chain_pem = await finalize(attempt, ordered.order, ca, ForgetfulAttempts(), deps.clock)
    is_unseen = all(one.status is Status.VALID for one in ordered.authorizations)
    unseen = " without fetching a token, because it reused earlier authorizations" if is_unseen else ""
    return f"{ca.name} issued a chain of {chain_pem.count(b'-----BEGIN')} certificates{unseen}, which was discarded"


async def _place(lineage: Lineage, deps: RehearsalDeps, ca: CertificateAuthority) -> tuple[Attempt, Ordered]:
    await deps.throttle.slot()
    return await order(lineage, ca, ForgetfulAttempts(), None, Terms(request=deps.request))


async def _deactivate_reused(ordered: Ordered, ca: CertificateAuthority, count: int) -> bool:
    """Deactivate authorizations of an earlier order, with which the CA would not look at this host; return True if any.

    Test CAs reuse them for weeks. One that cannot be deactivated is left as it is.
    """
    found = ordered.authorizations
    if ordered.order.status is not Status.PENDING:
        urls = ordered.order.authorization_urls[:count]
        found = tuple(await asyncio.gather(*map(ca.read_authorization, urls)))
    reused = [one for one in found if one.status is Status.VALID]
    try:
        for one in reused:
            await ca.deactivate_authorization(one.url)
    except ChallengeError as error:
        _log.warning("the test CA %s reuses authorizations: %s", ca.name, error)
        return False
    return bool(reused)


class ForgetfulAttempts:
    """Implements `ports.state.Attempts` without recording: the order of a rehearsal is never resumed."""

    async def read_attempt(self, lineage: str) -> Attempt | None:
        """Return None."""

    async def record_attempt(self, attempt: Attempt) -> None:
        """Do nothing."""

    async def forget_attempt(self, lineage: str) -> None:
        """Do nothing."""

    async def record_order(self, lineage: str, placed: Order) -> None:
        """Do nothing."""

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """Rehearses at intervals. `current` returns the present lineages, and the interval, or None for never."""

    current: Callable[[], tuple[Sequence[Lineage], timedelta | None]]
    rehearse: Callable[[Sequence[Lineage]], Awaitable[Sequence[Rehearsal]]]
    notes: Notes
    clock: Clock

    async def run(self) -> None:
        """Check every hour, first after an hour, until cancelled; a failure is logged and never ends it."""
        while True:
            await self.clock.sleep(_LOOK_SECONDS)
            try:
                for result in await self._rehearse_due():
                    if result.is_well:
                        _log.info("certificate %s: rehearsed, %s", result.lineage, result.detail)
                    else:
                        _log.error("certificate %s: a renewal would fail: %s", result.lineage, result.detail)
            except WellkeeperError as error:
                _log.error("the rehearsal did not run: %s", error)

    async def _rehearse_due(self) -> Sequence[Rehearsal]:
        lineages, every = self.current()
        if every is None:
            return ()
        now, last = self.clock.now(), await self.notes.read_rehearsals()
        # A time in the future was recorded while the clock was ahead, and delays nothing.
        fresh = {name for name, one in last.items() if now - every < one.at <= now}
        due = sorted((one for one in lineages if one.name not in fresh), key=lambda one: _age_key(last.get(one.name)))
        # Only as many per hour as needed: a test CA has limits, and a restart must not repeat rehearsals.
        share = math.ceil(len(lineages) * _LOOK_SECONDS / every.total_seconds())
        return await self.rehearse(due[: max(share, _LEAST_SHARE)]) if due else ()


def _age_key(last: Rehearsal | None) -> float:
    """Return a sort key: never rehearsed first, then the oldest rehearsal."""
    return 0.0 if last is None else last.at.timestamp()


def _result(lineage: Lineage, causes: Sequence[str], deps: RehearsalDeps) -> Rehearsal:
    return Rehearsal(lineage.name, deps.clock.now(), not causes, "; ".join(causes) or "every step succeeded")
