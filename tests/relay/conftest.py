"""A relay in this process, on unix sockets and a port of loopback, with a fake clock."""

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes import FakeClock
from tests.relay.messages import PUBLIC_FLEET_KEY, WEB1_KEY, WEB2_KEY, enrolment
from tests.responder.http import Reply, ask
from tests.responder.messages import NOW
from wellkeeper_client import relay_wire, wire
from wellkeeper_relay.app import Relay
from wellkeeper_relay.settings import Settings
from wellkeeper_responder.settings import TcpAddress, UnixAddress

RECORDS = relay_wire.RECORDS_PATH


class RunningRelay:
    """A running relay with the requests that tests often make; `web1` and `web2` are enrolled."""

    def __init__(self, relay: Relay, settings: Settings, clock: FakeClock) -> None:
        self.relay = relay
        self.issuer = settings.issuer
        self.clock = clock
        self.lines: list[str] = []

    async def feed(self, key: str, message: bytes, query: str = "") -> Reply:
        return await ask(self.issuer, "PUT", f"{RECORDS}/{key}{query}", media_type(), message)

    async def read(self, path: str, method: str = "GET") -> Reply:
        """Ask at the issuer's socket."""
        return await ask(self.issuer, method, path)

    def permit(self, node: str, key: Ed25519PrivateKey) -> dict[str, str]:
        permit = relay_wire.sign_permit(node, self.clock.timestamp(), key)
        return {"Authorization": f"Bearer {permit}"}

    async def ask_as(
        self, node: str, path: str, method: str = "GET", body: bytes | None = None, key: Ed25519PrivateKey | None = None
    ) -> Reply:
        """Ask at the port for nodes with a node's permit."""
        headers = self.permit(node, key or {"web1": WEB1_KEY, "web2": WEB2_KEY}[node]) | media_type()
        return await ask(self.relay.node_addresses[0], method, path, headers, body)

    async def keys(self, node: str, kinds: str = "bundle,wrap,node,report,manifest") -> list[str]:
        """Return the keys that the node sees."""
        return sorted(one["key"] for one in (await self.ask_as(node, f"{RECORDS}?kinds={kinds}")).json()["records"])

    async def until_polls_wait(self, count: int = 1) -> None:
        """Wait until so many polls are waiting; the test's time-out is the limit."""
        waiting = -1
        for _ in itertools.repeat(None):
            if waiting == count:
                return
            waiting = (await self.read(wire.STATUS_PATH)).json()["counts"]["waiting_polls"]

    async def metric(self, name: str) -> float:
        lines = (await self.read(wire.METRICS_PATH)).body.decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0)


def media_type() -> dict[str, str]:
    return {"Content-Type": wire.MESSAGE_MEDIA_TYPE}


def version(reply: Reply) -> str:
    assert reply.status == 200, reply
    found: dict[str, Any] = json.loads(reply.body)
    return str(found["version"])


def settings(folder: Path, max_bytes: int = 1024 * 1024) -> Settings:
    return Settings(
        fleet_keys=(PUBLIC_FLEET_KEY,),
        nodes=(TcpAddress("127.0.0.1", 0),),
        issuer=UnixAddress(folder / "issuer.sock"),
        max_bytes=max_bytes,
    )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningRelay]:
    clock, lines = FakeClock(), list[str]()
    clock.step(NOW - clock.timestamp())
    made = settings(tmp_path)
    async with Relay(made, clock, report=lines.append) as relay:
        found = RunningRelay(relay, made, clock)
        found.lines = lines
        for node, key in {"web1": WEB1_KEY, "web2": WEB2_KEY}.items():
            assert (await found.feed(f"node/{node}", enrolment(node, key))).status == 200
        yield found
