"""A responder in this process, on its own unix sockets, with a fake clock."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes import FakeClock
from tests.responder.http import Reply, ask
from tests.responder.messages import KEY, NOW, OTHER_KEY, THUMBPRINT
from wellkeeper_client import wire
from wellkeeper_client.signing import Publication, encode_public_key, sign_publication
from wellkeeper_client.trust_file import Trust
from wellkeeper_responder.app import Responder
from wellkeeper_responder.settings import Address, Settings, TcpAddress, UnixAddress


class Running:
    """A running responder with the requests that tests often make."""

    def __init__(self, responder: Responder, clock: FakeClock) -> None:
        self.responder = responder
        self.clock = clock

    @property
    def public(self) -> Address:
        return self.responder.public_addresses[0]

    @property
    def control(self) -> Address:
        """Return the path of the unix socket."""
        return self.responder.control_addresses[0]

    @property
    def control_over_tcp(self) -> Address:
        return self.responder.control_addresses[1]

    async def publish(self, publication: Publication) -> Reply:
        return await self.put(publication.token, sign_publication(publication, KEY))

    async def put(self, token: str, message: str | bytes, method: str = "PUT") -> Reply:
        headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
        return await ask(self.control, method, wire.TOKENS_PREFIX + token, headers, message)

    async def get(self, token: str, headers: dict[str, str] | None = None, method: str = "GET") -> Reply:
        return await ask(self.public, method, wire.CHALLENGE_PREFIX + token, headers)

    async def read(self, path: str) -> Reply:
        return await ask(self.control, "GET", path)


def settings(folder: Path, keys: tuple[Ed25519PrivateKey, ...] = (KEY, OTHER_KEY)) -> Settings:
    return Settings(
        trust=Trust((THUMBPRINT,), tuple(encode_public_key(key.public_key()) for key in keys)),
        public=(UnixAddress(folder / "public.sock"),),
        control=(UnixAddress(folder / "control.sock"), TcpAddress("127.0.0.1", 0)),
        max_tokens=4,
    )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    clock = FakeClock()
    clock.step(NOW - clock.now().timestamp())
    async with Responder(settings(tmp_path), clock) as responder:
        yield Running(responder, clock)
