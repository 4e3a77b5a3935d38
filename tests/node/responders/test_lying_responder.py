"""Replies of a responder that lies: bombs, JSON without bounds, words that try to pass for ours."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.hostile import HARMLESS, HOSTILE, assert_harmless
from tests.node.responders.test_client import client
from tests.responder.messages import TOKEN
from wellkeeper_node.errors import PublishError
from wellkeeper_node.responders.client import ResponderClient

DEEP = "[" * 10_000 + "]" * 10_000
FETCHES = {"instance_id": "i", "next": 1, "gap": None, "fetches": []}


@asynccontextmanager
async def lying(folder: Path, clock: FakeClock, body: bytes, head: str = "200 OK") -> AsyncIterator[ResponderClient]:
    """Every request gets this body; `head` is the status line with more headers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        writer.close()

    server = await asyncio.start_unix_server(serve, folder / "lying.sock")
    async with client(f"unix:{folder}/lying.sock", clock) as one:
        yield one
    server.close()
    await server.wait_closed()


async def test_compressed_reply_is_not_unpacked(folder: Path, clock: FakeClock) -> None:
    bomb = gzip.compress(json.dumps(FETCHES | {"more": " " * 50_000_000}).encode())
    async with lying(folder, clock, bomb, "200 OK\r\nContent-Encoding: gzip") as one:
        with pytest.raises(PublishError, match="cannot read the fetches of the responder of node 'n1'"):
            await one.fetches(0, wait_seconds=0)


async def test_reply_without_bounds_is_not_read_to_its_end(folder: Path, clock: FakeClock) -> None:
    async with lying(folder, clock, b" " * 5_000_000) as one:
        with pytest.raises(PublishError, match=r"cannot use the reply of .*: its reply is longer than 4096 KiB"):
            await one.status()


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        json.dumps(FETCHES).replace("1", "1e999", 1),
        json.dumps(FETCHES).replace("1", "1" * 4_000, 1),
        json.dumps(FETCHES | {"next": -1}),
        json.dumps(FETCHES | {"next": "1"}),
        json.dumps(FETCHES | {"fetches": ["text"]}),
        json.dumps(FETCHES | {"fetches": [{"token": TOKEN, "is_read_back": False, "client_address": {}}, 7]}),
        json.dumps(FETCHES | {"fetches": 7}),
    ],
    ids=["deep", "infinite", "4 000 digits", "negative", "text", "texts", "number", "no list"],
)
async def test_feed_that_cannot_be_read_is_reported(folder: Path, clock: FakeClock, body: str) -> None:
    async with lying(folder, clock, body.encode()) as one:
        with pytest.raises(PublishError, match="cannot read the fetches of the responder of node 'n1'"):
            await one.fetches(0, wait_seconds=0)


@pytest.mark.parametrize("clock_member", ["1" * 400, "1e999", "-1", "NaN", "{}", DEEP])
async def test_refusal_with_an_absurd_clock_is_a_refusal(folder: Path, clock: FakeClock, clock_member: str) -> None:
    body = f'{{"detail": "expired", "clock": {clock_member}}}'
    async with lying(folder, clock, body.encode(), "401 No") as one:
        with pytest.raises(PublishError, match="refused with HTTP 401"):
            await one.put(TOKEN, "message")


async def test_deep_reply_to_a_withdrawal_fails_nothing(folder: Path, clock: FakeClock) -> None:
    async with lying(folder, clock, DEEP.encode()) as one:
        await one.delete(TOKEN, "message")


async def test_words_of_a_refusal_are_harmless_and_bounded(folder: Path, clock: FakeClock) -> None:
    body = json.dumps({"detail": HOSTILE + "x" * 1_000_000})
    async with lying(folder, clock, body.encode(), "400 No") as one:
        with pytest.raises(PublishError) as caught:
            await one.put(TOKEN, "message")
    assert_harmless(str(caught.value))
    assert len(str(caught.value)) < 600


async def test_warning_is_logged_harmless(folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"instance_id": HOSTILE, "warning": HOSTILE})
    async with lying(folder, clock, body.encode(), "201 Created") as one:
        assert await one.put(TOKEN, "message") == HARMLESS
    [record] = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert_harmless(record.getMessage())


async def test_status_line_that_is_none_is_reported_harmless(folder: Path, clock: FakeClock) -> None:
    async with lying(folder, clock, b"", f"2\x0000 {HOSTILE}") as one:
        with pytest.raises(PublishError) as caught:
            await one.status()
    assert str(caught.value).isprintable()
