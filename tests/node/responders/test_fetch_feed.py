"""The feed of fetches, against a server that says what a responder would say in rare moments."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock, turns_until
from tests.responder.messages import KEY, OTHER_TOKEN, TOKEN
from wellkeeper_node.errors import PublishError
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.fetch_feed import FetchFeed
from wellkeeper_node.responders.fetch_watch import Watches


class Speaker:
    """A speaker that answers each poll with the next of `replies`, the last one forever; `asked` are the paths."""

    def __init__(self, folder: Path, *replies: dict[str, Any]) -> None:
        self._path = folder / "speaker.sock"
        self._replies = list(replies)
        self.asked: list[str] = []

    @asynccontextmanager
    async def speaking(self, clock: FakeClock) -> AsyncIterator[ResponderClient]:
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
    await turns_until(is_enough)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def ignore(_: ResponderClient) -> None:
    """Nothing to hand out again."""


async def test_lost_fetches_wake_every_watch(folder: Path, clock: FakeClock) -> None:
    watches, speaker = Watches(), Speaker(folder, reply(gap={"lost": 3, "may_include_hits": True}))
    with watches.open(TOKEN) as one, watches.open(OTHER_TOKEN) as other:
        async with speaker.speaking(clock) as client:
            await run_until(FetchFeed(client, watches, clock, ignore, "i"), lambda: len(speaker.asked) > 1)
        assert await one.settle(0, 10)
        assert await other.settle(0, 10)


async def test_goes_on_after_the_last_entry_seen(folder: Path, clock: FakeClock) -> None:
    speaker = Speaker(folder, reply("i", 5, TOKEN), reply("i", 9, TOKEN))
    async with speaker.speaking(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, ignore, "i"), lambda: len(speaker.asked) > 2)
    assert [path.split("&")[0] for path in speaker.asked[:3]] == [f"/v1/fetches?after={n}" for n in (0, 5, 9)]


async def test_waits_only_when_the_instance_is_sure(folder: Path, clock: FakeClock) -> None:
    speaker = Speaker(folder, reply(), reply("i", 1, TOKEN), reply("i", 1), reply("i", 1))
    async with speaker.speaking(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, ignore, "i"), lambda: len(speaker.asked) > 4)
    assert [path.split("wait=")[1] for path in speaker.asked[:5]] == ["0", "30", "30", "0", "30"]


async def test_responder_that_always_answers_at_once_is_not_asked_without_a_pause(
    folder: Path, clock: FakeClock
) -> None:
    speaker, began = Speaker(folder, reply("i", 1, OTHER_TOKEN)), clock.monotonic()
    async with speaker.speaking(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, ignore, "i"), lambda: len(speaker.asked) > 10)
    assert clock.monotonic() - began >= 0.2 * 10


@pytest.mark.parametrize("known", ["i", None], ids=["the same", "none known"])
async def test_no_restart_no_second_handing_out(folder: Path, clock: FakeClock, known: str | None) -> None:
    sent: list[str] = []

    async def hand_out(client: ResponderClient) -> None:
        sent.append(client.node)

    speaker = Speaker(folder, reply())
    async with speaker.speaking(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, hand_out, known), lambda: len(speaker.asked) > 2)
    assert sent == []


async def test_new_instance_gets_the_tokens_until_it_accepted_them(folder: Path, clock: FakeClock) -> None:
    sent: list[str] = []

    async def hand_out(client: ResponderClient) -> None:
        sent.append(client.node)
        if len(sent) < 3:
            raise PublishError("not yet")

    speaker = Speaker(folder, reply("new"))
    async with speaker.speaking(clock) as client:
        await run_until(FetchFeed(client, Watches(), clock, hand_out, "old"), lambda: len(speaker.asked) > 5)
    assert sent == ["n1"] * 3


async def test_one_that_is_away_is_asked_ever_less_often(folder: Path, clock: FakeClock) -> None:
    client = ResponderClient("n1", f"unix:{folder}/missing.sock", KEY, clock)
    await run_until(FetchFeed(client, Watches(), clock, ignore, "i"), lambda: len(clock.slept) > 6)
    await client.close()
    assert clock.slept[:7] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
