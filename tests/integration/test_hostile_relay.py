"""A node with a hostile relay beside an honest one: forged, repeated, older, swapped, cut and wrong records, and junk.

`--hostile-seconds 1000` continues until a million records were sent.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from stand.node import NodeProcess
from tests.integration.hostile_relay import BREAKING, HostileRelay
from tests.integration.node_hosts import NodeHost, node_host
from tests.integration.test_node_agent import has
from tests.node.agent.made import holds
from tests.responder.messages import TOKEN
from tests.unit_files import environment_of
from wellkeeper_node.agent.report import CertificateState

pytestmark = pytest.mark.integration

MOST_KIB: Final = 64 * 1024
# The measurement of coverage needs memory of its own.
MOST_KIB_MEASURED: Final = 96 * 1024
# nginx is reloaded every five seconds at most; a busy machine can be far slower.
LONGEST_SECONDS: Final = 60.0


def memory_kib(pid: int, which: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which))


class Served:
    """The handshakes with the node's nginx while something else happens."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        self.count = 0
        self.leaves: set[str] = set()

    async def run(self) -> None:
        while True:
            self.leaves.add(await self._host.served())
            self.count += 1
            await asyncio.sleep(0.05)


@asynccontextmanager
async def served(host: NodeHost) -> AsyncIterator[Served]:
    found = Served(host)
    watching = asyncio.create_task(found.run())
    try:
        yield found
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.wait([watching])


class Issued:
    """Versions and tokens, one after the other; `history` has all messages."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host
        self.history: dict[str, list[bytes]] = {}
        self.number = 0

    async def deliver(self) -> str:
        self.number += 1
        leaf = await self._host.issuer.deliver(self.number)
        self._note()
        return leaf

    async def publish(self) -> str:
        jti = f"p-{self.number:016}"
        await self._host.issuer.publish(TOKEN, jti)
        self._note()
        return jti

    async def withdraw(self, jti: str) -> None:
        await self._host.issuer.withdraw(TOKEN, jti)
        self._note()

    def _note(self) -> None:
        for key, message in self._host.issuer.wanted.items():
            known = self.history.setdefault(key, [])
            if message not in known:
                known.append(message)


async def renew(issued: Issued, host: NodeHost) -> tuple[str, float]:
    """Bring a version and a token to the node, and end the token; return the leaf, and the time that it took."""
    started_at = time.monotonic()
    leaf, jti = await issued.deliver(), await issued.publish()
    await host.issuer.report(lambda one: has(one, issued.number, CertificateState.SERVED) and holds(one, jti))
    seconds = time.monotonic() - started_at
    await issued.withdraw(jti)
    await host.issuer.report(lambda one: jti not in one.publications)
    return leaf, seconds


async def test_hostile_relay_delays_nothing_and_takes_no_memory(
    folder: Path, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    seconds = float(pytestconfig.getoption("hostile_seconds"))
    pages = 40 if seconds else 2
    async with node_host(folder) as host:
        issued = Issued(host)
        renewals = [(await issued.deliver(), 0.0), (await issued.deliver(), 0.0)]
        await issued.withdraw(await issued.publish())
        hostile = HostileRelay(issued.history, pages)
        async with hostile.listening() as address:
            both = host.settings.replace(f'"{host.relay.address}"', f'"{address}", "{host.relay.address}"')
            async with (
                NodeProcess(folder / "node", both, environment_of("wellkeeper-node")) as agent,
                served(host) as watch,
            ):
                ends_at = time.monotonic() + seconds
                while time.monotonic() < ends_at or hostile.replies < BREAKING * (1 + pages):
                    renewals.append(await renew(issued, host))
                last, peak = (memory_kib(agent.process.pid, which) for which in ("VmRSS", "VmHWM"))
        slowest = max(seconds for _, seconds in renewals)
        record_property(
            "hostile relay",
            f"{hostile.sent} records in {hostile.replies} replies, {last} KiB, at most {peak},"
            f" {len(agent.log.splitlines())} lines of log, {issued.number} versions and tokens,"
            f" the slowest in {slowest:.1f} s, {watch.count} handshakes",
        )
    # nginx has the certificate of the start until the agent has the first of these.
    assert len(watch.leaves - {leaf for leaf, _ in renewals}) <= 1
    is_measured = any(name.startswith("COVERAGE_PROCESS") for name in os.environ)
    assert peak < (MOST_KIB_MEASURED if is_measured else MOST_KIB)
    assert slowest < LONGEST_SECONDS
