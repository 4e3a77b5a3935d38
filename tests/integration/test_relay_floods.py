"""Attacks on a relay's time and memory: strangers' junk, forged permits, held connections, a hostile node.

`--junk-seconds 600` sends junk for ten minutes instead of a few seconds.
"""

import asyncio
import contextlib
import itertools
import os
import random
import resource
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.integration.test_relay_process import Process, now, relay
from tests.relay.conftest import RECORDS
from tests.relay.messages import STRANGER_KEY, WEB1_KEY, WEB2_KEY, enrolment, signed
from tests.responder.http import connect
from tests.unit_files import environment_of
from wellkeeper_client import relay_wire, wire
from wellkeeper_client.records import Kind
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.relay import Reader, RelayRecords
from wellkeeper_responder.settings import TcpAddress

pytestmark = pytest.mark.integration

# The first junk fills bounded structures: a counter for each kind of refusal, the allocator's pools.
FIRST_JUNK: Final = 3_000
MORE_JUNK: Final = 12_000
# The allocator touches more of its pages for a while. A connection that leaked would take 20 KB, 240 MB in all.
ALLOWED_GROWTH_BYTES: Final = 1_500_000
AT_ONCE: Final = 8
# A refused request takes about 0.2 ms of the relay's CPU time.
MOST_CPU_SECONDS: Final = 0.003
HELD: Final = 1_500
# Of headers that never end, on a thousand connections.
ALLOWED_HEADER_BYTES: Final = 256 * 1024 * 1024
# A delivery takes milliseconds; a busy machine can be far slower.
LONGEST_DELIVERY_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 60.0


@asynccontextmanager
async def enrolled(folder: Path) -> AsyncIterator[tuple[Process, RelayRecords, RelayRecords]]:
    """Yield a relay that knows two nodes, and the clients of its issuer and of web1."""
    async with relay(folder, {**os.environ, **environment_of("wellkeeper-relay")}) as running:
        issuer = RelayRecords(str(running.issuer), SystemClock(), call_seconds=PATIENCE_SECONDS)
        web1 = RelayRecords(running.nodes, SystemClock(), Reader("web1", WEB1_KEY), call_seconds=PATIENCE_SECONDS)
        for node, key in {"web1": WEB1_KEY, "web2": WEB2_KEY}.items():
            await issuer.put(f"node/{node}", enrolment(node, key, issued_at=now()))
        try:
            yield running, issuer, web1
        finally:
            await issuer.close()
            await web1.close()


def address_of(running: Process) -> TcpAddress:
    host, _, port = running.nodes.rpartition(":")
    return TcpAddress(host, int(port))


def memory_bytes(running: Process) -> int:
    pages = int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def cpu_seconds(running: Process) -> float:
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def junk(chance: random.Random) -> Iterator[bytes]:
    """Yield requests of strangers, who know everything that is public, and of an eavesdropper's old permit."""
    stale = relay_wire.sign_permit("web1", 1, WEB1_KEY)
    forged = relay_wire.sign_permit("web1", time.time(), WEB1_KEY)[:-4] + "AAAA"
    foreign = relay_wire.sign_permit("web1", time.time(), STRANGER_KEY)
    path = f"{RECORDS}?kinds=bundle&after={chance.randrange(10**9)}&wait=60"
    while True:
        random_permit = secrets.token_urlsafe(chance.randint(1, 2000))
        for permit in ("", random_permit, f"a.b.{random_permit}", foreign, stale, forged):
            yield _request("GET", path, permit)
        yield _request("PUT", f"{RECORDS}/report/web1", foreign, signed("report/web1", by=STRANGER_KEY))
        yield _request("PUT", f"{RECORDS}/manifest/fleet", random_permit, secrets.token_bytes(chance.randint(0, 5000)))
        yield _request("BREW", f"/{secrets.token_urlsafe(chance.randint(1, 200))}", "")
        yield secrets.token_bytes(chance.randint(1, 500)) + b"\r\n\r\n"


def _request(method: str, path: str, permit: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Type: {wire.MESSAGE_MEDIA_TYPE}"]
    lines += [f"Authorization: Bearer {permit}"] if permit else []
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def send_junk(address: TcpAddress, count: int, chance: random.Random) -> None:
    """Send junk over a few connections at once and check that all of it is refused."""
    requests = junk(chance)

    async def send_some() -> None:
        for _ in range(count // AT_ONCE):
            # Strangers have other addresses than nodes.
            reader, writer = await asyncio.open_connection(address.host, address.port, local_addr=("127.0.0.2", 0))
            with contextlib.suppress(ConnectionError):
                writer.write(next(requests))
                line = await reader.readline()
                assert line == b"" or 400 <= int(line.split()[1]) < 500, line
            writer.transport.abort()

    await asyncio.gather(*(send_some() for _ in range(AT_ONCE)))


async def test_junk_of_strangers_costs_little_time_and_no_memory(
    folder: Path, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random("junk")  # noqa: S311 - to be repeated, not to be secret
    async with enrolled(folder) as (running, issuer, web1):
        address = address_of(running)
        await send_junk(address, FIRST_JUNK, chance)
        memory, cpu, count = memory_bytes(running), cpu_seconds(running), 0
        latency = Latency(issuer, web1)
        measuring = asyncio.create_task(latency.run())
        ends_at = time.monotonic() + float(pytestconfig.getoption("junk_seconds"))
        while time.monotonic() < ends_at or count < MORE_JUNK:
            await send_junk(address, 1000, chance)
            count += 1000
        growth, each = memory_bytes(running) - memory, (cpu_seconds(running) - cpu) / count
        measuring.cancel()
        await asyncio.wait([measuring])
        record_property(
            "growth",
            f"{growth} bytes and {1000 * each:.2f} ms of CPU time each after {count} requests;"
            f" {latency.count} deliveries meanwhile, the slowest in {1000 * latency.slowest:.0f} ms",
        )
        assert measuring.cancelled()
        assert latency.slowest < LONGEST_DELIVERY_SECONDS
        assert growth < ALLOWED_GROWTH_BYTES
        assert each < MOST_CPU_SECONDS
        await check_delivery(issuer, web1)


class Latency:
    """The time from the issuer's call until a node that follows has the record, measured again and again."""

    def __init__(self, issuer: RelayRecords, node: RelayRecords) -> None:
        self._issuer, self._node = issuer, node
        self.count, self.slowest = 0, 0.0

    async def run(self) -> None:
        version = None
        async with aclosing(self._node.follow(Kind.HEARTBEAT)) as updates:
            await anext(updates)
            for number in itertools.count():
                started_at = time.monotonic()
                message = signed("heartbeat/issuer", number, issued_at=now())
                version = await self._issuer.put("heartbeat/issuer", message, expected=version)
                await anext(updates)
                self.slowest = max(self.slowest, time.monotonic() - started_at)
                self.count += 1


async def check_delivery(issuer: RelayRecords, node: RelayRecords) -> None:
    """Check that a new record reaches a node that follows."""
    key = f"bundle/{secrets.token_hex(8)}"
    async with aclosing(node.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        await issuer.put(key, signed(key, issued_at=now()))
        assert [one.key for one in (await anext(updates)).records] == [key]


async def test_held_connections_do_not_keep_nodes_out(folder: Path) -> None:
    async with enrolled(folder) as (running, issuer, web1), aclosing(web1.follow(Kind.MANIFEST)) as updates:
        await anext(updates)
        writers = []
        for number in range(HELD):
            _, writer = await connect(address_of(running))
            with contextlib.suppress(ConnectionError):
                writer.write(b"GET /v1/records HTTP/1.1\r\nX-Slow: " if number % 2 else b"")
            writers.append(writer)
        await issuer.put("manifest/fleet", signed("manifest/fleet", issued_at=now()))
        assert [one.key for one in (await anext(updates)).records] == ["manifest/fleet"]
        newcomer = RelayRecords(running.nodes, SystemClock(), Reader("web2", WEB2_KEY), call_seconds=PATIENCE_SECONDS)
        await check_delivery(issuer, newcomer)
        await newcomer.close()
        for writer in writers:
            writer.transport.abort()


async def test_endless_headers_of_strangers_take_bounded_memory(folder: Path) -> None:
    header = b"GET /v1/records HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 8000) for n in range(100))
    async with enrolled(folder) as (running, issuer, web1):
        memory, writers = memory_bytes(running), []
        for _ in range(1000):
            _, writer = await connect(address_of(running))
            writer.write(header)
            writers.append(writer)
        await check_delivery(issuer, web1)
        assert memory_bytes(running) - memory < ALLOWED_HEADER_BYTES
        for writer in writers:
            writer.transport.abort()


async def test_hostile_node_does_not_delay_the_others(folder: Path) -> None:
    async with enrolled(folder) as (running, issuer, web1):
        permit = relay_wire.sign_permit("web2", time.time(), WEB2_KEY)
        forged = signed("report/web2", by=WEB2_KEY, issued_at=now())[:-4] + b"AAAA"
        request = _request("PUT", f"{RECORDS}/report/web2", permit, forged)
        large = _request("PUT", f"{RECORDS}/manifest/fleet", permit, b"x" * 4_000_000)

        async def attack(message: bytes) -> None:
            while True:
                reader, writer = await connect(address_of(running))
                try:
                    writer.write(message)
                    await reader.readline()
                except ConnectionError:
                    continue
                finally:
                    writer.transport.abort()

        tasks = [asyncio.ensure_future(attack(message)) for message in (request, request, large, large)]
        memory = memory_bytes(running)
        for _ in range(20):
            await check_delivery(issuer, web1)
        assert memory_bytes(running) - memory < 64 * 1024 * 1024
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_node_that_reads_no_answers_takes_bounded_memory(folder: Path) -> None:
    async with enrolled(folder) as (running, issuer, web1):
        await issuer.put("manifest/fleet", signed("manifest/fleet", issued_at=now(), x=secrets.token_hex(350_000)))
        permit = relay_wire.sign_permit("web2", time.time(), WEB2_KEY)
        memory, writers = memory_bytes(running), []
        for _ in range(300):
            _, writer = await connect(address_of(running))
            writer.write(_request("GET", f"{RECORDS}?kinds=manifest", permit))
            writers.append(writer)
        await check_delivery(issuer, web1)
        assert memory_bytes(running) - memory < 64 * 1024 * 1024
        for writer in writers:
            writer.transport.abort()
