"""Follow an engine for several nodes in one process: `python -m bench.engine.followers WAY SOCKET NODE…`.

WAY is `wellkeeper`, or `redis-py`, a yardstick: the plain client, with pub/sub, which reads the record that a message
names. Each line on standard output is a key, and when the node had its record, in nanoseconds of the monotonic clock,
which processes share; the first ones are `ready`.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

import click
from redis.asyncio import Redis

from wellkeeper_client.records import Kind
from wellkeeper_node.agent.links import FOLLOWED
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.engine import DEFAULT_PREFIX, parse_engine
from wellkeeper_node.records.valkey import open_engine

OURS: Final = "wellkeeper"
PLAIN: Final = "redis-py"
READY: Final = "ready"
CHANNEL: Final = f"{DEFAULT_PREFIX}:{Kind.PUBLICATION}/"


@click.command()
@click.argument("way", type=click.Choice([OURS, PLAIN]))
@click.argument("socket")
@click.argument("nodes", nargs=-1)
def main(way: str, socket: str, nodes: Sequence[str]) -> None:
    """Follow until SIGTERM."""
    asyncio.run(_follow_all(way, socket, nodes))


async def _follow_all(way: str, socket: str, nodes: Sequence[str]) -> None:
    await asyncio.gather(*(_ours(socket, one) if way == OURS else _plain(socket) for one in nodes))


async def _ours(socket: str, node: str) -> None:
    records = open_engine(parse_engine(f"unix:{socket}"), "", "", SystemClock(), node=node, call_seconds=60)
    async for update in records.follow(*FOLLOWED):
        _say(*(one.key for one in update.records if not update.is_snapshot))
        if update.is_snapshot and update.is_whole:
            _say(READY)


async def _plain(socket: str) -> None:
    client = Redis(unix_socket_path=socket)
    async with client.pubsub() as news:
        await news.subscribe(CHANNEL)
        async for message in news.listen():
            if message["type"] == "subscribe":
                _say(READY)
            else:
                await client.get(f"{DEFAULT_PREFIX}:{message['data'].decode()}")
                _say(message["data"].decode())


def _say(*keys: str) -> None:
    now = time.monotonic_ns()
    for key in keys:
        sys.stdout.write(f"{key} {now}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
