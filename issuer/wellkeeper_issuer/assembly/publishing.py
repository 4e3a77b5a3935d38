"""Publish for another ACME client at all nodes, beside a daemon or without one, and prove that all of them serve it."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.state.published import PublishedTokens
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer

if TYPE_CHECKING:
    from wellkeeper_issuer.obtain.publish import ReadBacks
    from wellkeeper_node.responders.connection import Connection
    from wellkeeper_node.responders.lasting import LastingPublications

_EXPIRES = "It expires by itself within half an hour."
_NO_NODE = "no node is left that answers challenges"
_INVITE = "Run 'wellkeeper node invite NAME' for another node, or leave out fewer nodes."


@dataclass(frozen=True, slots=True)
class _Nodes:
    publications: "LastingPublications"
    read_backs: "ReadBacks"
    recorded: PublishedTokens
    names: Collection[str]


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
    await _check_known(settings, without)
    async with _nodes(settings, without) as nodes:
        if not nodes.names:
            raise PublishError("cannot publish the token", _NO_NODE, _INVITE)
        publication = nodes.publications.prepare(answer)
        nodes.recorded.record(answer.token, publication.jti, publication.expires_at, publication.issued_at)
        try:
            await nodes.publications.publish(publication)
            await _check(nodes.read_backs, answer)
        except BaseException:
            await _withdraw(nodes, answer.token, publication.jti)
            raise


async def withdraw_for_client(settings: Settings, token: str, without: Collection[str] = ()) -> None:
    """Withdraw what `publish_for_client` published, if anything is. Raises WellkeeperError."""
    jti = PublishedTokens(settings.state_dir).find(token)
    if jti is not None:
        async with _nodes(settings, without) as nodes:
            try:
                await nodes.publications.withdraw(token, jti)
            except PublishError as error:
                raise PublishError(f"cannot withdraw token {token}", str(error), _EXPIRES) from error
            nodes.recorded.forget(token)


async def _check_known(settings: Settings, without: Collection[str]) -> None:
    """Raise SettingsError unless each of these is a node, also one that does not answer."""
    known = {one.name for one in build.nodes(settings)}
    if not known.issuperset(without) and has_state(settings.state_dir):
        async with build.state_to_read(settings) as state:
            known.update(await state.fleet.read_nodes())
    for name in sorted({*without} - known):
        raise SettingsError(
            f"cannot leave out node {name!r}",
            f"the nodes are: {', '.join(sorted(known)) or 'none'}",
            "Run 'wellkeeper status --nodes' for their names.",
        )


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
async def _nodes(settings: Settings, without: Collection[str]) -> AsyncIterator[_Nodes]:
    """Yield the connections to all other nodes; closed on leaving."""
    from contextlib import AsyncExitStack

    from wellkeeper_issuer.assembly.local_probes import local_probes
    from wellkeeper_issuer.assembly.rehearsed_nodes import remote_nodes
    from wellkeeper_issuer.obtain.publish import ReadBacks
    from wellkeeper_node.responders.lasting import LastingPublications

    clock, key = SystemClock(), build.accounts(settings).publishing_key
    local = [one for one in build.nodes(settings) if one.name not in without]
    clients = [one for one in build.responder_clients(settings) if one.node not in without]
    async with AsyncExitStack() as stack:
        for client in clients:
            stack.push_async_callback(client.close)
        remote, answering = await stack.enter_async_context(remote_nodes(settings)) or (None, ())
        everyone: list[Connection] = [*clients, *([remote] if remote else [])]
        read_backs = ReadBacks(local, local_probes(settings), _Silence(), None, remote).without(without)
        publications, recorded = LastingPublications(everyone, key, clock), PublishedTokens(settings.state_dir)
        names = {*(one.name for one in local), *answering}.difference(without)
        yield _Nodes(publications, read_backs, recorded, names)
