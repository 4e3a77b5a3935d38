"""Measurement: what nginx serves while the engine is away, and how soon nodes notice it and catch up."""

import asyncio
import json
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from redis.asyncio import Redis

from bench.engine.front import Front, running_front
from bench.figures import Goal, Plan, Result, Series, Tell, at_most, find, ratio_at_least
from bench.fleet.issuer import until
from bench.fleet.nodes import RunningNodes, running_nodes
from bench.responder import new_tokens
from stand.key_value import KeyValueServer
from stand.processes import StandError
from wellkeeper_node.agent.links import FOLLOWED
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.engine_access import EngineAccess
from wellkeeper_node.bundles.manifest import MANIFEST_KEY
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.records.engine import DEFAULT_PREFIX, parse_engine
from wellkeeper_node.records.valkey import open_engine

NAME: Final = "engine-outages"
_ROUNDS: Final = 4
_LOAD_SECONDS: Final = 2
_SECONDS: Final = 60.0
_NOTICE_SECONDS: Final = 3
# Two runs of wrk differ by as much.
_LEAST_SHARE: Final = 0.9
_ON: Final = "engine on"
_NOTICED: Final = "noticed by a node"
_CAUGHT_UP: Final = "a new token is held again"
_MANIFEST: Final = f"{DEFAULT_PREFIX}:{MANIFEST_KEY}"


@dataclass(slots=True)
class _Watch:
    """Counts of the snapshots that a follower, as of a node, has got, and of the outages that it noticed."""

    snapshots: int = 0
    outages: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, engine: EngineAccess) -> None:
        records = open_engine(parse_engine(engine.address), "", "", SystemClock(), node="watch")
        while True:
            try:
                async with aclosing(records.follow(*FOLLOWED)) as updates:
                    async for update in updates:
                        self.snapshots += update.is_snapshot and update.is_whole
                        self.changed.set()
            except UnavailableError:
                self.outages += 1
                self.changed.set()
            await asyncio.sleep(0.2)

    async def until_more(self, name: Literal["snapshots", "outages"], before: int) -> None:
        async with asyncio.timeout(_SECONDS):
            while getattr(self, name) <= before:
                self.changed.clear()
                await self.changed.wait()


@dataclass(slots=True)
class _Measured:
    """The values of all rounds, by group and name."""

    values: dict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, group: str, name: str, unit: str, value: float) -> None:
        self.values[group, name, unit].append(value)

    async def serve(self, front: Front, state: str) -> None:
        """Measure what nginx serves in this state of the engine."""
        for group, scheme in front.groups.items():
            run = await front.load(scheme, _LOAD_SECONDS)
            if run.errors:
                raise StandError(f"{group}: {run.errors} of {run.requests} requests failed, engine {state}")
            self.note(group, state, "/s", run.requests_per_second)

    @property
    def series(self) -> tuple[Series, ...]:
        return tuple(Series(group, name, unit, tuple(found)) for (group, name, unit), found in self.values.items())


async def measure(_plan: Plan, folder: Path, tell: Tell) -> Result:
    """Freeze, kill and empty the engine in rounds, without a relay that would help."""
    measured = _Measured()
    async with KeyValueServer("valkey", folder / "engine") as server:
        engine = EngineAccess(f"redis://127.0.0.1:{server.port}", "", "")
        async with running_nodes(folder / "nodes", 1, engine=engine) as nodes:
            token, jti = await _put(nodes)
            await _until_held(nodes, jti)
            await nodes.relay.process.stop()
            async with running_front(folder / "front", nodes, token) as front, _watching(engine) as watch:
                trial = _Trial(server, nodes, front, watch, measured)
                for number in range(_ROUNDS):
                    tell(f"{NAME}: round {number + 1} of {_ROUNDS}")
                    await measured.serve(front, _ON)
                    await trial.frozen()
                    await trial.gone()
                    await trial.emptied()
    note = (
        "One node with nginx, responder and agent, whose relay is stopped: the engine is its only way. Frozen: "
        "SIGSTOP; gone: SIGKILL, and started again without data; emptied: FLUSHALL. nginx serves a token of its "
        "responder, with a connection for each request. A new token: from the end of the outage until the issuer knows "
        "that the node holds what was published during it. An outage lasts as long as the requests take, about "
        f"{2 * _LOAD_SECONDS} s; pauses between tries grow with it."
    )
    return Result(NAME, "An engine that is away", measured.series, _goals(measured), (note,))


def _goals(measured: _Measured) -> tuple[Goal, ...]:
    goals = []
    for one in measured.series:
        if one.name == _NOTICED:
            goals.append(at_most(one, _NOTICE_SECONDS))
        if one.unit == "/s" and one.name != _ON:
            goals.append(ratio_at_least(one, find(measured.series, one.group, _ON), _LEAST_SHARE))
    return tuple(goals)


@dataclass(frozen=True, slots=True)
class _Trial:
    """An engine that goes away and comes back, with everything that is watched meanwhile."""

    server: KeyValueServer
    nodes: RunningNodes
    front: Front
    watch: _Watch
    measured: _Measured

    async def frozen(self) -> None:
        before, began = self.watch.outages, time.monotonic()
        self.server.process.signal(signal.SIGSTOP)
        try:
            jti = await self._away("engine frozen", before, began)
        finally:
            self.server.process.signal(signal.SIGCONT)
        self.measured.note("engine frozen", _CAUGHT_UP, "s", await _until_held(self.nodes, jti))

    async def gone(self) -> None:
        before, began = self.watch.outages, time.monotonic()
        await self.server.kill()
        jti = await self._away("engine gone", before, began)
        await self.server.start_again()
        self.measured.note("engine gone", _CAUGHT_UP, "s", await _until_held(self.nodes, jti))

    async def _away(self, state: str, before: int, began: float) -> str:
        """Publish, and measure what nginx serves, while the engine is away; return the publication's id."""
        await self.watch.until_more("outages", before)
        self.measured.note(state, _NOTICED, "s", time.monotonic() - began)
        _, jti = await _put(self.nodes)
        await self.measured.serve(self.front, state)
        return jti

    async def emptied(self) -> None:
        async with Redis(unix_socket_path=str(self.server.socket)) as client:
            before, began = self.watch.snapshots, time.monotonic()
            await client.flushall()
            await self.watch.until_more("snapshots", before)
            self.measured.note("engine emptied", _NOTICED, "s", time.monotonic() - began)
            while not await client.exists(_MANIFEST):  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(0.01)
            self.measured.note("engine emptied", "filled again by the issuer", "s", time.monotonic() - began)


async def _put(nodes: RunningNodes) -> tuple[str, str]:
    """Return a token, and its publication's id, which is stored as soon as the engine is there."""
    (token,) = new_tokens(1)
    message = nodes.signer.sign(token)
    await nodes.fleet.responder.put(token, message)
    return token, str(json.loads(content.from_base64url(message.split(".")[1]))["jti"])


async def _until_held(nodes: RunningNodes, jti: str) -> float:
    began, fleet, (node,) = time.monotonic(), nodes.fleet, nodes.places

    def is_held() -> bool:
        seen = fleet.reports.last.get(node.name)
        return seen is not None and jti in seen.report.publications and seen.report.publications[jti].is_held

    await until(nodes.fleet, "the node holds the token", is_held)
    return time.monotonic() - began


@asynccontextmanager
async def _watching(engine: EngineAccess) -> AsyncIterator[_Watch]:
    watch = _Watch()
    following = asyncio.create_task(watch.follow(engine))
    try:
        await watch.until_more("snapshots", 0)
        yield watch
    finally:
        following.cancel()
        await asyncio.wait([following])
