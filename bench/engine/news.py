"""Measurement: store a record in the engine until the last of 20 nodes has it, beside redis-py's pub/sub."""

import asyncio
import secrets
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from bench.engine.followers import CHANNEL, OURS, PLAIN, READY
from bench.figures import Plan, Result, Series, Tell, at_most
from bench.responder import Signer, new_tokens
from stand.key_value import KeyValueServer
from stand.processes import PROJECT
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import PublicationBody
from wellkeeper_client.records import Kind, Record
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.engine import DEFAULT_PREFIX, parse_engine
from wellkeeper_node.records.valkey import open_engine

NAME: Final = "engine-news"
_NODES: Final = 20
# The nodes of a real fleet have processors of their own; more processes here would only wait for each other.
_PROCESSES: Final = 4
_EACH: Final = 40
_SECONDS: Final = 60.0
_GROUP: Final = f"put until the last of {_NODES} nodes has it"

_Put = Callable[[str, bytes], Awaitable[object]]


@dataclass(slots=True)
class Heard:
    """The times at which each node had each record, in nanoseconds."""

    times: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            key, _, at = line.decode().partition(" ")
            self.times[key].append(int(at))
            self.changed.set()

    async def last(self, key: str) -> int:
        """Return when the last of all nodes had the record."""
        async with asyncio.timeout(_SECONDS):
            while len(self.times[key]) < _NODES:
                self.changed.clear()
                await self.changed.wait()
        return max(self.times[key])


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure both ways in each round."""
    found: dict[str, list[float]] = {OURS: [], PLAIN: []}
    signer = Signer.new()
    async with KeyValueServer("valkey", folder / "engine", has_port=False) as engine:
        for number in range(plan.rounds):
            tell(f"{NAME}: round {number + 1} of {plan.rounds}")
            for way, values in found.items():
                async with _following(way, engine) as heard, _writing(way, engine) as put:
                    values.append(await _median(heard, put, signer))
    series = tuple(Series(_GROUP, way, "ms", tuple(values)) for way, values in found.items())
    note = (
        f"The median of {_EACH} publications per round, of {_NODES} followers in {_PROCESSES} processes, which share "
        "the machine with the engine, a Valkey at a unix socket. redis-py: SET and PUBLISH in one pipeline, and a GET "
        "by each follower, without condition, lease, limits and checks: what client and machine take at least."
    )
    return Result(NAME, "News through an engine", series, (at_most(series[0], 5),), (note,))


async def _median(heard: Heard, put: _Put, signer: Signer) -> float:
    milliseconds = []
    for _ in range(_EACH):
        now, key = int(time.time()), f"{Kind.PUBLICATION}/{secrets.token_urlsafe(16)}"
        body = PublicationBody(signer.sign(new_tokens(1)[0])).to_json()
        message = records.sign(Record(key, 1, now, now + 600, body), signer.key).encode()
        began = time.monotonic_ns()
        await put(key, message)
        milliseconds.append((await heard.last(key) - began) / 1e6)
    return statistics.median(milliseconds)


@asynccontextmanager
async def _writing(way: str, engine: KeyValueServer) -> AsyncIterator[_Put]:
    if way == OURS:
        store = open_engine(parse_engine(f"unix:{engine.socket}"), "", "", SystemClock(), call_seconds=_SECONDS)
        yield store.put
        await store.close()
        return
    async with Redis(unix_socket_path=str(engine.socket)) as client:

        async def put(key: str, message: bytes) -> None:
            pipeline = client.pipeline(transaction=False)
            pipeline.set(f"{DEFAULT_PREFIX}:{key}", message)
            pipeline.publish(CHANNEL, key)
            await pipeline.execute()

        yield put


@asynccontextmanager
async def _following(way: str, engine: KeyValueServer) -> AsyncIterator[Heard]:
    heard = Heard()
    async with AsyncExitStack() as stack:
        for number in range(_PROCESSES):
            nodes = [f"node{one}" for one in range(number, _NODES, _PROCESSES)]
            argv = [sys.executable, "-m", "bench.engine.followers", way, str(engine.socket), *nodes]
            process = await asyncio.create_subprocess_exec(*argv, cwd=PROJECT, stdout=asyncio.subprocess.PIPE)
            stack.push_async_callback(_ended, process)
            if process.stdout is not None:
                reading = asyncio.create_task(heard.read(process.stdout))
                stack.callback(reading.cancel)
        await heard.last(READY)
        yield heard


async def _ended(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await process.wait()
