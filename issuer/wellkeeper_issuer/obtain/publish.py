"""publish: give every token to every responder, and read it back through every node's own nginx.

An async context manager: leaving it always withdraws (RFC 8555 section 8.3). The CA validates from several
perspectives, so that one node without the token fails the validation: all nodes must serve it.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wellkeeper_issuer.model import Ordered, Status
from wellkeeper_issuer.obtain.vetoes import Vetoes
from wellkeeper_issuer.ports.node import RemoteReadBacks
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer, Installed, Node, ReadBack
from wellkeeper_node.ports import Probes, Progress, Responders
from wellkeeper_node.wording import counted, with_reload

# Enough to be quick with hundreds of names, few enough to stay within the node's own limits.
_READ_BACKS_AT_ONCE: Final = 16
# Beside the first one; `status --nodes` shows all.
_MOST_NAMED: Final = 3


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
    async with responders.publish(answers, lineage):
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


@dataclass(frozen=True, slots=True)
class _LeavingOut:
    """Implements `ports.node.RemoteReadBacks` for the other nodes."""

    remote: RemoteReadBacks
    nodes: Collection[str]

    def has_nodes(self) -> bool:
        return self.remote.has_nodes()

    async def failures(self, answers: Sequence[Answer], without: Collection[str] = ()) -> Sequence[ReadBack]:
        return await self.remote.failures(answers, {*self.nodes, *without})


class ReadBacks:
    """Fetches each token through each node's nginx, as the CA will. Without `vetoes` a failure is only reported.

    `remote` are nodes that do so themselves.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        probes: Probes,
        progress: Progress,
        vetoes: Vetoes | None,
        remote: RemoteReadBacks | None = None,
    ) -> None:
        self._nodes = tuple(nodes)
        self._probes = probes
        self._progress = progress
        self._vetoes = vetoes
        self._remote = remote
        self._slots = asyncio.Semaphore(_READ_BACKS_AT_ONCE)

    def without(self, nodes: Collection[str]) -> "ReadBacks":
        """Return the same that leaves out these remote nodes."""
        if self._remote is None or not nodes:
            return self
        rest = _LeavingOut(self._remote, nodes)
        return ReadBacks(self._nodes, self._probes, self._progress, self._vetoes, rest)

    def has_remote_nodes(self) -> bool:
        return self._remote is not None and self._remote.has_nodes()

    async def failures(self, answers: Sequence[Answer]) -> Sequence[ReadBack]:
        """Read back each answer at each node, and return the read-backs that failed."""
        local = asyncio.gather(*(self._ask(node, answer) for node in self._nodes for answer in answers))
        remote = await self._remote.failures(answers) if self._remote else ()
        return [result for several in await local for result in several if result.cause is not None] + list(remote)

    async def judge(self, failures: Sequence[ReadBack], lineage: str, expiring_at: datetime | None) -> None:
        """Raise PublishError while a failed read-back is a veto; warn otherwise."""
        if failures:
            error = read_back_error(failures)
            why = "read_back = advisory"
            if self._vetoes:
                why = await self._vetoes.hold(lineage, {one.node for one in failures}, error, expiring_at)
            self._progress.note(lineage, f"WARNING: {error.what}, the CA is still asked ({why}): {error.why}")
        elif self._vetoes:
            await self._vetoes.end(lineage)

    async def _ask(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        async with self._slots:
            return await self._probes.read_back(node, answer)


def read_back_error(failures: Sequence[ReadBack]) -> PublishError:
    """Return one error that counts the failed read-backs, describes the first, and names the other nodes."""
    first = failures[0]
    status = f"HTTP {first.status}" if first.status else "no answer"
    what = "the read-back failed" if len(failures) == 1 else f"{len(failures)} read-backs failed"
    why = f"node {first.node!r} at {first.address}: {first.url} gave {status}: {first.cause}"
    others = {one.node: one.cause for one in reversed(failures) if one.node != first.node}
    named = [f"node {name!r}: {cause}" for name, cause in sorted(others.items())]
    more = [f"and {counted(len(named) - _MOST_NAMED, 'other node')}"] if len(named) > _MOST_NAMED else []
    return PublishError(what, "; ".join([why, *named[:_MOST_NAMED], *more]), first.remedy)


def expiring_at(installed: Installed | None) -> datetime | None:
    """Return when a tenth of the lifetime is left; None without a certificate of a CA."""
    if installed is None or installed.certificate.is_self_signed:
        return None
    return installed.certificate.not_after - installed.certificate.lifetime / 10
