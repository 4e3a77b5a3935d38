"""publish: every responder in rotation holds every token, and every node's own nginx serves it.

An async context manager: leaving it withdraws, whatever happened (RFC 8555 section 8.3). One node without the token
fails a validation from several perspectives as surely as all of them, so nothing less than all will do.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from issuer.errors import PublishError
from issuer.model import Answer, Node, Ordered, ReadBack, Status
from issuer.ports import Probes, Progress, Responders

# Enough to be quick with hundreds of names, few enough not to look like an attack to the node's own limits.
_READ_BACKS_AT_ONCE: Final = 16


@asynccontextmanager
async def publish(
    answers: Sequence[Answer], responders: Responders, read_back: "ReadBacks", lineage: str
) -> AsyncIterator[None]:
    """Raises PublishError before the CA is told, naming node, URL, status and likely cause."""
    async with responders.publish(answers):
        await read_back.check(answers, lineage)
        yield


def answers(ordered: Ordered, thumbprint: str) -> tuple[Answer, ...]:
    """What has to be published for the authorizations that are still pending; raises PublishError."""
    pending = [a for a in ordered.authorizations if a.status is Status.PENDING]
    wanted = []
    for authorization in pending:
        if authorization.challenge is None:
            offered = ", ".join(authorization.other_challenges) or "none at all"
            raise PublishError(
                f"the CA offers no http-01 challenge for {authorization.identifier} (it offers: {offered}); "
                "wellkeeper answers http-01 only: use a CA or a name for which it is offered"
            )
        wanted.append(Answer(authorization.challenge.token, thumbprint, authorization.identifier))
    return tuple(wanted)


class ReadBacks:
    """Asks each node's nginx what the CA will ask. `is_required` false: a failure is told, the CA is asked anyway."""

    def __init__(self, nodes: Sequence[Node], probes: Probes, progress: Progress, *, is_required: bool) -> None:
        self._nodes = tuple(nodes)
        self._probes = probes
        self._progress = progress
        self._is_required = is_required
        self._turns = asyncio.Semaphore(_READ_BACKS_AT_ONCE)

    async def check(self, answers: Sequence[Answer], lineage: str) -> None:
        results = await asyncio.gather(*(self._ask(node, answer) for node in self._nodes for answer in answers))
        failures = [result for several in results for result in several if result.cause is not None]
        if not failures:
            return
        text = "; ".join(map(_describe, failures))
        if self._is_required:
            raise PublishError(f"the CA was not asked, because {text}")
        self._progress.note(lineage, f"read-back failed, the CA is asked all the same (read_back = advisory): {text}")

    async def _ask(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        async with self._turns:
            return await self._probes.read_back(node, answer)


def _describe(failure: ReadBack) -> str:
    status = f"HTTP {failure.status}" if failure.status else "no answer"
    return f"node {failure.node!r} at {failure.address}: {failure.url} gave {status}: {failure.cause}"
