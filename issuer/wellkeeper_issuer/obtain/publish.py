"""publish: give every token to every responder, and read it back through every node's own nginx.

An async context manager: leaving it always withdraws (RFC 8555 section 8.3). The CA validates from several
perspectives, so that one node without the token fails the validation: all nodes must serve it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.model import Ordered, Status
from wellkeeper_issuer.ports.state import VetoRecords
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer, Installed, Node, ReadBack
from wellkeeper_node.ports import Clock, Probes, Progress, Responders
from wellkeeper_node.wording import format_time, with_reload

# A failed read-back keeps the CA from being asked for so long; CAs allow far more than one failed validation per day.
_VETO: Final = timedelta(hours=24)
# Enough to be quick with hundreds of names, few enough to stay within the node's own limits.
_READ_BACKS_AT_ONCE: Final = 16


@asynccontextmanager
async def publish(
    answers: Sequence[Answer],
    responders: Responders,
    read_back: "ReadBacks",
    lineage: str,
    expiring_at: datetime | None = None,
) -> AsyncIterator[None]:
    """Publish and read back. Raises PublishError, before the CA is asked, with node, URL, status and likely cause.

    From `expiring_at` on, the CA is asked even if a read-back failed.
    """
    async with responders.publish(answers):
        failures = await read_back.failures(answers)
        if failures and await responders.publish_again(answers):
            failures = await read_back.failures(answers)
        await read_back.judge(failures, lineage, expiring_at)
        yield


def answers(ordered: Ordered, thumbprint: str) -> tuple[Answer, ...]:
    """Return what to publish for the authorizations that are still pending; raises PublishError."""
    pending = [a for a in ordered.authorizations if a.status is Status.PENDING]
    wanted = []
    for authorization in pending:
        if authorization.challenge is None:
            offered = ", ".join(authorization.other_challenges) or "none"
            raise PublishError(
                f"the CA does not offer an http-01 challenge for {authorization.identifier}",
                f"it offers: {offered}",
                with_reload("Wellkeeper answers http-01 only. Use a CA that offers it for this name."),
            )
        wanted.append(Answer(authorization.challenge.token, thumbprint, authorization.identifier))
    return tuple(wanted)


class ReadBacks:
    """Fetches each token through each node's nginx, as the CA will. Without `vetoes` a failure is only reported."""

    def __init__(self, nodes: Sequence[Node], probes: Probes, progress: Progress, vetoes: "Vetoes | None") -> None:
        self._nodes = tuple(nodes)
        self._probes = probes
        self._progress = progress
        self._vetoes = vetoes
        self._slots = asyncio.Semaphore(_READ_BACKS_AT_ONCE)

    async def failures(self, answers: Sequence[Answer]) -> Sequence[ReadBack]:
        """Read back each answer at each node, and return the read-backs that failed."""
        results = await asyncio.gather(*(self._ask(node, answer) for node in self._nodes for answer in answers))
        return [result for several in results for result in several if result.cause is not None]

    async def judge(self, failures: Sequence[ReadBack], lineage: str, expiring_at: datetime | None) -> None:
        """Raise PublishError while a failed read-back is a veto; warn otherwise."""
        if failures:
            error = read_back_error(failures)
            why = "read_back = advisory"
            if self._vetoes:
                why = await self._vetoes.hold(lineage, error, expiring_at)
            self._progress.note(lineage, f"WARNING: {error.what}, the CA is still asked ({why}): {error.why}")
        elif self._vetoes:
            await self._vetoes.end(lineage)

    async def _ask(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        async with self._slots:
            return await self._probes.read_back(node, answer)


def read_back_error(failures: Sequence[ReadBack]) -> PublishError:
    """Return one error that counts the failed read-backs and describes the first."""
    first = failures[0]
    status = f"HTTP {first.status}" if first.status else "no answer"
    what = "the read-back failed" if len(failures) == 1 else f"{len(failures)} read-backs failed"
    why = f"node {first.node!r} at {first.address}: {first.url} gave {status}: {first.cause}"
    return PublishError(what, why, first.remedy)


def expiring_at(installed: Installed | None) -> datetime | None:
    """Return when a tenth of the lifetime is left; None without a certificate of a CA."""
    if installed is None or installed.certificate.is_self_signed:
        return None
    return installed.certificate.not_after - installed.certificate.lifetime / 10


class Vetoes:
    """Limits how long failed read-backs keep the CA from being asked.

    Behind a NAT or with split DNS they fail though the CA would find the token. After 24 h, or with less than a tenth
    of the lifetime left, the CA is asked anyway, and then once a day.
    """

    def __init__(self, records: VetoRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def hold(self, lineage: str, error: PublishError, expiring_at: datetime | None) -> str:
        """Raise PublishError while the veto holds; else return why the CA is asked, and record that it was."""
        now = self._clock.now()
        tomorrow = now + _VETO
        asks_at = await self._records.read_veto(lineage)
        if asks_at is None:
            asks_at = min(tomorrow, expiring_at or tomorrow)
        # A clock that was set back must not make the wait longer.
        asks_at = min(asks_at, tomorrow)
        await self._records.record_veto(lineage, asks_at if now < asks_at else tomorrow)
        if now < asks_at:
            raise PublishError(
                f"the CA was not asked, because {error.what}; it is asked anyway from {format_time(asks_at)}",
                error.why,
                with_reload(
                    f"{error.remedy} If only the read-back is wrong, as behind a NAT,"
                    ' set read_back = "advisory".'.strip()
                ),
            )
        is_expiring = expiring_at is not None and now >= expiring_at
        return "less than a tenth of the lifetime is left" if is_expiring else "it has failed for 24 h"

    async def end(self, lineage: str) -> None:
        """End the veto, as the read-back succeeded. Idempotent."""
        if await self._records.read_veto(lineage) is not None:
            await self._records.forget_veto(lineage)
