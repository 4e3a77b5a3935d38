"""Responders in this process, one per node, on unix sockets; tests can stop and restart them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from tests.fakes import FakeClock
from tests.responder.http import Reply, ask
from tests.responder.messages import KEY, TRUST
from wellkeeper_client import wire
from wellkeeper_node.model import Node
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.publications import AllResponders
from wellkeeper_responder.app import Responder
from wellkeeper_responder.settings import Settings, UnixAddress

# Client and responders share an event loop, which a busy machine may stop for seconds.
_CALL_SECONDS: Final = 60.0


class RunningNode:
    """A responder whose node has HTTP addresses for fake probes."""

    def __init__(self, folder: Path, name: str, clock: FakeClock) -> None:
        self._folder = folder / name
        self._clock = clock
        self.name = name
        self.public = UnixAddress(self._folder / "public.sock")
        self.control = UnixAddress(self._folder / "control.sock")
        self.responder: Responder | None = None

    @property
    def node(self) -> Node:
        return Node(self.name, str(self.control), (("127.0.0.1", 80),), (("127.0.0.1", 443),))

    async def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        settings = Settings(TRUST, (self.public,), (self.control,))
        self.responder = Responder(settings, self._clock)
        await self.responder.start()

    async def stop(self) -> None:
        if self.responder:
            await self.responder.stop()
            self.responder = None

    async def get(self, token: str, headers: dict[str, str] | None = None) -> Reply:
        """Request the token as the CA does."""
        return await ask(self.public, "GET", wire.CHALLENGE_PREFIX + token, headers)

    async def holds(self, token: str) -> bool:
        """Return whether the token is answered, asked as a read-back that no watch counts."""
        return (await self.get(token, {wire.READ_BACK_HEADER: "1"})).status == 200

    async def held(self, token: str) -> None:
        """Wait until it holds the token; the test's time-out is the limit."""
        is_held = await self.holds(token)
        while not is_held:
            is_held = await self.holds(token)


class Nodes:
    """`async with Nodes(…)`: the nodes by name, and `responders`, the real client of all of them.

    The client has its own clock: while it waits for an unreachable responder, the responders' time does not advance.
    """

    def __init__(self, folder: Path, clock: FakeClock, names: Sequence[str]) -> None:
        self.by_name = {name: RunningNode(folder, name, clock) for name in names}
        self._way_clock = FakeClock(clock.now())
        self.responders = AllResponders(
            [self._client(one) for one in self.all],
            KEY,
            self._way_clock,
        )

    def _client(self, node: RunningNode) -> ResponderClient:
        return ResponderClient(node.name, str(node.control), KEY, self._way_clock, call_seconds=_CALL_SECONDS)

    @property
    def all(self) -> list[RunningNode]:
        return list(self.by_name.values())

    @property
    def nodes(self) -> list[Node]:
        return [one.node for one in self.all]

    def advance(self, seconds: float) -> None:
        """Let time pass for `responders` as well."""
        self._way_clock.advance(seconds)

    def __getitem__(self, name: str) -> RunningNode:
        return self.by_name[name]

    async def holding(self, token: str) -> list[str]:
        """Return the names of the nodes that hold the token."""
        return [one.name for one in self.all if await one.holds(token)]

    async def __aenter__(self) -> Self:
        for one in self.all:
            await one.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.responders.__aexit__()
        for one in self.all:
            await one.stop()
