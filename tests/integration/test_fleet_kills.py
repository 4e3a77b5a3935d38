"""Renewals on five nodes while their agents, their responders, the relay and the issuer's daemon are killed at random.

`--renewals 200` makes that many, 20 by default. `--seed` repeats the kills of another run, as far as time allows.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from stand.daemon import IssuerDaemon
from stand.processes import Running, StandError
from stand.responder import ResponderProcess
from tests.integration.observed import installed, tokens
from tests.integration.whole_fleets import Fleet, FleetNode, running_fleet

pytestmark = pytest.mark.integration

NODES: Final = ("web2", "web3", "web4", "web5", "web6")
CERTIFICATES: Final = {f"c{number:02}": [f"c{number:02}.example.org"] for number in range(10)}
# One renewal of all takes a few seconds; each needs every agent, responder and the relay within twelve.
LONGEST_PAUSE_SECONDS: Final = 1.0
LONGEST_ABSENCE_SECONDS: Final = 1.0
BETWEEN_HANDSHAKES_SECONDS: Final = 0.02
WITHDRAWN_SECONDS: Final = 60.0
# Of docs/design/0027-agent.md, and the lock of the manifest.
STATE: Final = frozenset(
    {
        *("signing_key.pem", "sealing_key.pem", "manifest.jws", "manifest.lock"),
        *("report_number", "pending.json", "status.json", "agent.lock"),
    }
)
# Five are kept, and one that nginx may still use.
MOST_VERSIONS: Final = 6


@dataclass
class Kills:
    """Kills processes and starts them again; `daemon` is the one that runs now, if any."""

    fleet: Fleet
    chance: random.Random
    daemon: IssuerDaemon | None = None
    count: int = 0
    _is_over: bool = False

    @asynccontextmanager
    async def killing(self) -> AsyncIterator[None]:
        """Kill inside the context; all of them run afterwards."""
        task = asyncio.create_task(self._run([None, *processes(self.fleet)]))
        try:
            yield
        finally:
            self._is_over = True
            await task

    async def _run(self, victims: Sequence[Running | None]) -> None:
        """Go on until it is over; None is the daemon."""
        while not self._is_over:
            await asyncio.sleep(self.chance.uniform(0, LONGEST_PAUSE_SECONDS))
            victim, absence = self.chance.choice(victims), self.chance.uniform(0, LONGEST_ABSENCE_SECONDS)
            if victim is not None:
                await kill([victim], absence)
            elif self.daemon is not None:
                self.daemon.signal(signal.SIGKILL)
            self.count += 1

    async def keep_daemon(self) -> None:
        """Run one daemon after another, until cancelled."""
        while True:
            with suppress(StandError):  # a command that began while there was none does not let another one start
                async with IssuerDaemon(self.fleet.host.issuer) as self.daemon:
                    finished = await self.daemon.ended()
                    assert "Traceback" not in finished.err, finished
            self.daemon = None


def processes(fleet: Fleet) -> list[Running]:
    return [fleet.relay, *responders(fleet), *(one.agent for one in fleet.nodes.values())]


def responders(fleet: Fleet) -> list[ResponderProcess]:
    return [fleet.host.responder, *(one.responder for one in fleet.nodes.values())]


async def kill(victims: Sequence[Running], absence_seconds: float = 0) -> None:
    """Kill them, and start them again after this time."""
    for one in victims:
        one.process.signal(signal.SIGKILL)
        await one.process.wait()
    await asyncio.sleep(absence_seconds)
    for one in victims:
        await one.process.start(one.is_ready)


@dataclass
class Clients:
    """Clients of all nodes; every nginx runs all the time, so each handshake must succeed."""

    fleet: Fleet
    chance: random.Random
    count: int = 0
    failed: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Make handshakes until cancelled."""
        while True:
            node, lineage = self.chance.choice(NODES), self.chance.choice(list(CERTIFICATES))
            try:
                is_served = await self.fleet.nodes[node].served(CERTIFICATES[lineage][0]) is not None
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one more failure
                self.failed.append(f"{node}: {lineage}: {error!r}")
            else:
                self.failed += [] if is_served else [f"{node} refuses {lineage}"]
            self.count += 1
            await asyncio.sleep(BETWEEN_HANDSHAKES_SECONDS)


@asynccontextmanager
async def meanwhile(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do these until the context is left."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in ended if not isinstance(one, asyncio.CancelledError)] == []


async def renew_all(fleet: Fleet) -> None:
    """Renew each certificate at least once, however often the daemon dies."""
    issuer = fleet.host.issuer
    before = {name: installed(issuer, name) for name in CERTIFICATES}
    while left := [name for name in CERTIFICATES if installed(issuer, name) == before[name]]:
        await issuer.run("renew", *left, "--force")


async def has_arrived(fleet: Fleet) -> None:
    """Wait until each node serves the newest version of each certificate."""
    for node in fleet.nodes.values():
        for name, (identifier,) in CERTIFICATES.items():
            await node.until_served(identifier, installed(fleet.host.issuer, name))


def versions(node: FleetNode) -> int:
    """Return the most versions that a certificate has on the node's disk; leftovers count as one."""
    archive = node.folder / "certificates/archive"
    return max(len(list(one.iterdir())) for one in archive.iterdir())


async def holds_no_token(responder: ResponderProcess) -> None:
    """Wait until everything is withdrawn, for less long than a token lives."""
    async with asyncio.timeout(WITHDRAWN_SECONDS):
        while await tokens(responder):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


def assert_is_clean(node: FleetNode) -> None:
    assert {one.name for one in node.agent.state_dir.iterdir()} <= STATE
    assert versions(node) <= MOST_VERSIONS
    assert "Traceback" not in node.agent.log


@pytest.mark.timeout(3600)
async def test_no_client_notices_that_everything_else_is_killed_again_and_again(
    folder: Path, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    seed, wanted = str(pytestconfig.getoption("seed")), int(pytestconfig.getoption("renewals"))
    record_property("seed", seed)
    async with running_fleet(folder, CERTIFICATES, NODES, environment={"PEBBLE_VA_ALWAYS_VALID": "1"}) as fleet:
        kills, clients = Kills(fleet, random.Random(seed)), Clients(fleet, random.Random(seed))  # noqa: S311 - to be repeated
        async with meanwhile(kills.keep_daemon(), clients.run()):
            async with kills.killing():
                for _ in range(-(-wanted // len(CERTIFICATES))):
                    await renew_all(fleet)
            await has_arrived(fleet)
            for responder in responders(fleet):
                await holds_no_token(responder)
        assert clients.failed == [], f"--seed {seed!r}"
        for node in fleet.nodes.values():
            assert_is_clean(node)
    record_property("kills", kills.count)
    record_property("handshakes", clients.count)
