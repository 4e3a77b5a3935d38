"""The feed of fetches, against a server with the replies of rare moments."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.responder.messages import KEY, OTHER_TOKEN, TOKEN
from wellkeeper_node.errors import PublishError
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.connection import Connection
from wellkeeper_node.responders.fetch_feed import FetchFeed
from wellkeeper_node.responders.fetch_watch import Watches


class FeedServer:
    """A server that answers each poll with the next of `replies`, the last one repeatedly; `asked` lists the paths."""

    def __init__(self, folder: Path, *replies: dict[str, Any]) -> None:
        self._path = folder / "server.sock"
        self._replies = list(replies)
        self.asked: list[str] = []

    @asynccontextmanager
    async def serving(self, clock: FakeClock) -> AsyncIterator[ResponderClient]:
        server = await asyncio.start_unix_server(self._serve, self._path)
        client = ResponderClient("n1", f"unix:{self._path}", KEY, clock)
        yield client
        await client.close()
        server.close()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split()[1].decode())
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        body = json.dumps(reply)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        writer.close()


def reply(instance_id: str = "i", after: int = 0, *tokens: str, gap: object = None) -> dict[str, Any]:
    fetches = [{"token": token, "is_read_back": False} for token in tokens]
    return {"instance_id": instance_id, "next": after, "gap": gap, "fetches": fetches}


async def run_until(feed: FetchFeed, is_enough: Callable[[], bool]) -> None:
    running = asyncio.create_task(feed.run())
    await run_tasks_until(is_enough)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def ignore(_: Connection) -> None:
    """Republish nothing."""


async def test_lost_fetches_wake_every_watch(folder: Path, clock: FakeClock) -> None:
    watches, server = Watches(), FeedServer(folder, reply(gap={"lost": 3, "may_include_hits": True}))
    with watches.open(TOKEN) as one, watches.open(OTHER_TOKEN) as other:
        async with server.serving(clock) as client:
            await run_until(FetchFeed(client, watches, clock, ignore, "i"), lambda: len(server.asked) > 1)
        assert await one.settle(0, 10)
        assert await other.settle(0, 10)


async def test_feed_continues_after_the_last_entry_seen(folder: Path, clock: FakeClock) -> None:
    server = FeedServer(folder, reply("i", 5, TOKEN), reply("i", 9, TOKEN))
    async with server.serving(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, ignore, "i"), lambda: len(server.asked) > 2)
    assert [path.split("&")[0] for path in server.asked[:3]] == [f"/v1/fetches?after={n}" for n in (0, 5, 9)]


async def test_feed_waits_only_when_the_instance_is_known(folder: Path, clock: FakeClock) -> None:
    server = FeedServer(folder, reply(), reply("i", 1, TOKEN), reply("i", 1), reply("i", 1))
    async with server.serving(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, ignore, "i"), lambda: len(server.asked) > 4)
    assert [path.split("wait=")[1] for path in server.asked[:5]] == ["0", "30", "30", "0", "30"]


async def test_responder_that_always_answers_at_once_is_not_asked_without_a_pause(
    folder: Path, clock: FakeClock
) -> None:
    server, began = FeedServer(folder, reply("i", 1, OTHER_TOKEN)), clock.monotonic()
    async with server.serving(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, ignore, "i"), lambda: len(server.asked) > 40)
    assert clock.monotonic() - began >= 0.2 * 19


@pytest.mark.parametrize("known", ["i", None], ids=["same instance", "unknown instance"])
async def test_tokens_are_not_republished_without_a_restart(folder: Path, clock: FakeClock, known: str | None) -> None:
    sent: list[str] = []

    async def republish(client: Connection) -> None:
        sent.append(client.node)

    server = FeedServer(folder, reply())
    async with server.serving(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, republish, known), lambda: len(server.asked) > 2)
    assert sent == []


async def test_new_instance_gets_the_tokens_until_it_accepts_them(folder: Path, clock: FakeClock) -> None:
    sent: list[str] = []

    async def republish(client: Connection) -> None:
        sent.append(client.node)
        if len(sent) < 3:
            raise PublishError("not yet")

    server = FeedServer(folder, reply("new"))
    async with server.serving(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, republish, "old"), lambda: len(server.asked) > 5)
    assert sent == ["n1"] * 3


async def test_unreachable_responder_is_polled_less_and_less_often(folder: Path, clock: FakeClock) -> None:
    client = ResponderClient("n1", f"unix:{folder}/missing.sock", KEY, clock)
    await run_until(FetchFeed(client, Watches(), clock, ignore, "i"), lambda: len(clock.slept) > 6)
    await client.close()
    assert clock.slept[:7] == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
