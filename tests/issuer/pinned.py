"""A responder in this process that is pinned to a test's accounts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes import FakeClock
from tests.responder.messages import KEY, PUBLIC_KEY
from wellkeeper_client.trust_file import Trust
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_responder.app import Responder
from wellkeeper_responder.settings import Settings, UnixAddress


@asynccontextmanager
async def pinned_to(thumbprints: Sequence[str], folder: Path, clock: FakeClock) -> AsyncIterator[ResponderClient]:
    """Yield a client of the responder of node `n1`."""
    public, control = UnixAddress(folder / "n1-public.sock"), UnixAddress(folder / "n1-control.sock")
    settings = Settings(Trust(tuple(thumbprints), (PUBLIC_KEY,)), (public,), (control,))
    client = ResponderClient("n1", str(control), KEY, clock)
    async with Responder(settings, clock):
        try:
            yield client
        finally:
            await client.close()
