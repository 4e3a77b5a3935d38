"""Measurement: the memory of an engine with many certificates, and how soon a new node has all of them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis

from bench.figures import Plan, Result, Series, Tell, at_most
from bench.fleet.lineages import names
from stand.key_value import KeyValueServer
from stand.processes import StandError
from wellkeeper_client import records
from wellkeeper_client.records import Kind, Record
from wellkeeper_node.bundles.model import SealedBundle, Version, Wrap
from wellkeeper_node.bundles.suites import X25519
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.engine import DEFAULT_PREFIX, parse_engine
from wellkeeper_node.records.valkey import ValkeyRecords, open_engine

NAME: Final = "engine-contents"
# Certificates per one of `Plan.lineage_count`.
_TIMES: Final = 10
_NODES: Final = 10
# An RSA certificate with its key and one intermediate: a record of 8.2 kB.
_SEALED_BYTES: Final = 4355
_WRAPPED_BYTES: Final = 80
_VERSION: Final = Version(1, "20260301T110000Z-0123abcd")
_AT_ONCE: Final = 200
_MIB: Final = 1024 * 1024
_GOAL_MIB: Final = 120
_GOAL_CERTIFICATES: Final = 10_000
_SECONDS: Final = 60.0
# Names of others, per one of `Plan.token_count`.
_OTHERS: Final = 10
_OTHERS_PART: Final = 10_000
_ADD: Final = "for one = ARGV[1], ARGV[1] + ARGV[2] - 1 do redis.call('SADD', KEYS[1], 'junk' .. one) end"


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Fill a Valkey, read all of it, then add many names of others."""
    lineages = names(_TIMES * plan.lineage_count)
    others = _OTHERS * plan.token_count
    group = f"{len(lineages)} certificates, {_NODES} nodes"
    async with KeyValueServer("valkey", folder / "engine", has_port=False) as engine:
        tell(f"{NAME}: storing {group}")
        await _fill(engine, lineages)
        async with Redis(unix_socket_path=str(engine.socket)) as client, _opened(engine, "node0") as node:
            used = (await client.info("memory"))["used_memory"] / _MIB
            received = [await _received(node, 2 * len(lineages)) for _ in range(plan.rounds)]
            tell(f"{NAME}: adding {others} names of others")
            await _add_others(client, others)
            beside = [await _received(node, 0) for _ in range(plan.rounds)]
    memory = Series(group, "memory of the engine", "MiB", (used,))
    series = (
        memory,
        Series(group, "a new node receives all", "s", tuple(received)),
        Series(group, f"the same beside {others} other names", "s", tuple(beside)),
    )
    note = (
        "Bundles of 8.2 kB and wraps of 680 bytes, as signed records; `used_memory` of a Valkey. A new node reads all "
        "bundles and its wraps, without checking signatures. The other names are in the directory of bundles, of "
        "which 20 000 are read. All share one machine."
    )
    goal = at_most(memory, _GOAL_MIB * len(lineages) / _GOAL_CERTIFICATES)
    return Result(NAME, "What an engine has", series, (goal,), (note,))


async def _fill(engine: KeyValueServer, lineages: list[str]) -> None:
    key, made = Ed25519PrivateKey.generate(), _records(lineages, int(time.time()))
    async with _opened(engine) as store:

        async def put(record: Record) -> None:
            await store.put(record.key, records.sign(record, key).encode(), expires_at=float(record.expires_at))

        while some := list(islice(made, _AT_ONCE)):
            await asyncio.gather(*map(put, some))


def _records(lineages: list[str], now: int) -> Iterator[Record]:
    for one in lineages:
        yield SealedBundle(one, _VERSION, os.urandom(_SEALED_BYTES)).to_record(now)
        for number in range(_NODES):
            yield Wrap(f"node{number}", one, _VERSION, X25519, os.urandom(_WRAPPED_BYTES)).to_record(now)


async def _received(node: ValkeyRecords, least: int) -> float:
    """Return the seconds that a new node's snapshot takes. Raises StandError if it has less than so many records."""
    began, count = time.perf_counter(), 0
    async with aclosing(node.follow(Kind.BUNDLE, Kind.WRAP)) as updates:
        async for update in updates:
            count += len(update.records)
            if update.is_whole:
                break
    if count < least:
        raise StandError(f"a new node got {count} records of {least}")
    return time.perf_counter() - began


async def _add_others(client: "Redis", count: int) -> None:
    """In parts, because an engine refuses other commands after five seconds of one script."""
    add = client.register_script(_ADD)
    for first in range(0, count, _OTHERS_PART):
        await add(keys=[f"{DEFAULT_PREFIX}:{Kind.BUNDLE}/"], args=[first, min(_OTHERS_PART, count - first)])


@asynccontextmanager
async def _opened(engine: KeyValueServer, node: str = "") -> AsyncIterator[ValkeyRecords]:
    address = parse_engine(f"unix:{engine.socket}")
    store = open_engine(address, "", "", SystemClock(), node=node, call_seconds=_SECONDS)
    try:
        yield store
    finally:
        await store.close()
