"""Publish for another ACME client at all nodes, beside a daemon or without one, and prove that all of them serve it."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.outside.state.published import PublishedTokens
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer

if TYPE_CHECKING:
    from wellkeeper_issuer.obtain.publish import ReadBacks
    from wellkeeper_node.responders.connection import Connection
    from wellkeeper_node.responders.lasting import LastingPublications

_EXPIRES = "It expires by itself within half an hour."


@dataclass(frozen=True, slots=True)
class _Nodes:
    publications: "LastingPublications"
    read_backs: "ReadBacks"
    recorded: PublishedTokens


class _Silence:
    """Implements `ports.Progress`: a hook of another client prints only its failure."""

    def started(self, lineage: str, stage: str) -> None:
        """Do nothing."""

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        """Do nothing."""

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        """Do nothing."""

    def note(self, lineage: str, text: str) -> None:
        """Do nothing."""


async def publish_for_client(settings: Settings, answer: Answer, without: Collection[str] = ()) -> None:
    """Return when every node that answers serves the token, and withdraw it otherwise. Raises WellkeeperError."""
    async with _nodes(settings) as nodes:
        publication = nodes.publications.prepare(answer)
        nodes.recorded.record(answer.token, publication.jti, publication.expires_at, publication.issued_at)
        try:
            await nodes.publications.publish(publication)
            await _check(nodes.read_backs.without(without), answer)
        except BaseException:
            await _withdraw(nodes, answer.token, publication.jti)
            raise


async def withdraw_for_client(settings: Settings, token: str) -> None:
    """Withdraw what `publish_for_client` published, if anything is. Raises WellkeeperError."""
    jti = PublishedTokens(settings.state_dir).find(token)
    if jti is not None:
        async with _nodes(settings) as nodes:
            try:
                await nodes.publications.withdraw(token, jti)
            except PublishError as error:
                raise PublishError(f"cannot withdraw token {token}", str(error), _EXPIRES) from error
            nodes.recorded.forget(token)


async def _check(read_backs: "ReadBacks", answer: Answer) -> None:
    from wellkeeper_issuer.obtain.publish import read_back_error

    if failures := await read_backs.failures([answer]):
        raise read_back_error(failures)


async def _withdraw(nodes: _Nodes, token: str, jti: str) -> None:
    try:
        await nodes.publications.withdraw(token, jti)
    except PublishError:
        return  # the first error says why, and the token expires
    nodes.recorded.forget(token)


@asynccontextmanager
async def _nodes(settings: Settings) -> AsyncIterator[_Nodes]:
    """Yield the connections to all nodes; closed on leaving."""
    from contextlib import AsyncExitStack

    from wellkeeper_issuer.assembly.local_probes import local_probes
    from wellkeeper_issuer.assembly.rehearsed_nodes import remote_nodes
    from wellkeeper_issuer.obtain.publish import ReadBacks
    from wellkeeper_node.responders.lasting import LastingPublications

    clock, key = SystemClock(), build.accounts(settings).publishing_key
    clients = build.responder_clients(settings)
    async with AsyncExitStack() as stack:
        for client in clients:
            stack.push_async_callback(client.close)
        remote, _ = await stack.enter_async_context(remote_nodes(settings)) or (None, 0)
        everyone: list[Connection] = [*clients, *([remote] if remote else [])]
        read_backs = ReadBacks(build.nodes(settings), local_probes(settings), _Silence(), None, remote)
        yield _Nodes(LastingPublications(everyone, key, clock), read_backs, PublishedTokens(settings.state_dir))
