"""The client of a relay: a real one that stops, and hostile ones. tests/contracts/test_records.py has the rest."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.fakes import FakeClock
from tests.relay.conftest import RunningRelay, running, settings
from tests.relay.messages import STRANGER_KEY, WEB1_KEY, WEB2_KEY, signed
from tests.responder.messages import NOW
from wellkeeper_client.record_state import version_of
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import ConflictError, UnavailableError
from wellkeeper_node.records import replies
from wellkeeper_node.records.relay import Reader, RelayRecords
from wellkeeper_relay.app import Relay

__all__ = ["running"]

KEY: Final = "bundle/www"


@asynccontextmanager
async def client(address: object, reader: Reader | None = None, seconds: float = 60) -> AsyncIterator[RelayRecords]:
    clock = FakeClock()
    clock.step(NOW - clock.timestamp())
    made = RelayRecords(str(address), clock, reader, call_seconds=seconds)
    try:
        yield made
    finally:
        await made.close()


def web1(running: RunningRelay) -> tuple[object, Reader]:
    return running.relay.node_addresses[0], Reader("web1", WEB1_KEY)


async def test_node_follows_and_reports(running: RunningRelay) -> None:
    report = signed("report/web1", by=WEB1_KEY)
    async with client(*web1(running)) as records, aclosing(records.follow(Kind.BUNDLE, Kind.WRAP)) as updates:
        assert (await anext(updates)).records == ()
        await running.feed("wrap/web2/www", signed("wrap/web2/www"))
        await running.feed(KEY, signed())
        assert [one.value for one in (await anext(updates)).records] == [signed()]
        assert await records.put("report/web1", report) == version_of(report)
        assert (await records.get("wrap/web2/www")) is None
        with pytest.raises(ConflictError, match="another version"):
            await records.put("report/web1", signed("report/web1", 2, by=WEB1_KEY))


async def test_permit_is_signed_again_after_half_of_its_lifetime(running: RunningRelay) -> None:
    clock = FakeClock()
    clock.step(NOW - clock.timestamp())
    records = RelayRecords(str(running.relay.node_addresses[0]), clock, Reader("web1", WEB1_KEY))
    for seconds in (0, 1_700, 1_700, 200_000, 0):
        clock.advance(seconds)
        running.clock.advance(min(seconds, 10_000))
        if seconds == 200_000:
            with pytest.raises(UnavailableError, match="NTP"):
                await records.get(KEY)
            clock.step(-190_000)
        else:
            await records.get(KEY)
    await records.close()


@pytest.mark.parametrize("reader", [Reader("web1", STRANGER_KEY), Reader("web2", WEB1_KEY), Reader("web9", WEB2_KEY)])
async def test_unknown_node_is_refused_with_the_relays_words(running: RunningRelay, reader: Reader) -> None:
    async with client(running.relay.node_addresses[0], reader) as records:
        with pytest.raises(UnavailableError, match="HTTP 401: "):
            await records.get(KEY)


async def test_relay_that_restarts_empty_gives_a_snapshot_and_takes_everything_again(tmp_path: Path) -> None:
    made, clock = settings(tmp_path), FakeClock()
    clock.step(NOW - clock.timestamp())
    async with client(made.issuer) as records, aclosing(records.follow(Kind.BUNDLE)) as updates:
        async with Relay(made, clock):
            await anext(updates)
            await records.put(KEY, signed())
            await anext(updates)
        async with Relay(made, clock):
            update = await anext(updates)
            assert (update.records, update.is_snapshot, update.is_whole) == ((), True, True)
            assert await records.put(KEY, signed()) == version_of(signed())
            assert [one.value for one in (await anext(updates)).records] == [signed()]


async def test_relay_that_is_down_is_unavailable(tmp_path: Path) -> None:
    made = settings(tmp_path)
    async with client(made.issuer) as records:
        for call in (records.get(KEY), records.put(KEY, signed()), records.acquire("one", 60)):
            with pytest.raises(UnavailableError, match="cannot reach the relay at unix:"):
                await call
        with pytest.raises(UnavailableError):
            await anext(records.follow(Kind.BUNDLE))


@pytest.mark.parametrize(
    ("name", "words"),
    # A number in another form is resolved without asking anyone.
    [("relay.invalid", "Start the host of this name, or change"), ("0x08080808", "Change")],
    ids=["unknown", "public"],
)
async def test_name_of_a_relay_that_cannot_be_used_is_named_with_its_setting(name: str, words: str) -> None:
    async with client(f"{name}:8404") as records:
        with pytest.raises(UnavailableError) as caught:
            await records.get(KEY)
    what, why, remedy = caught.value.lines
    assert what == f"cannot reach the relay at {name}:8404"
    assert (why != "", remedy) == (True, f"{words} relays in the settings of this node.")


@asynccontextmanager
async def hostile(
    answer: Callable[[web.Request], Any], application: web.Application | None = None
) -> AsyncIterator[str]:
    """Yield the address of a server that answers every request with this, or that is this application."""

    async def handle(request: web.Request) -> web.StreamResponse:
        found = answer(request)
        return found if isinstance(found, web.StreamResponse) else web.json_response(found)

    if application is None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handle)
    server = TestServer(application)
    await server.start_server()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.close()


def page(**changes: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "instance": "i",
        "next": 1,
        "is_snapshot": True,
        "is_whole": True,
        "records": [],
        "removed": [],
    }
    return whole | changes


def stored(**changes: object) -> dict[str, object]:
    return {"key": KEY, "value": "x", "expires_at": 1.5} | changes


@pytest.mark.parametrize(
    "reply",
    [
        {},
        [],
        page(instance=7),
        page(instance="x" * 65),
        page(next=-1),
        page(next=True),
        page(next="1"),
        page(is_whole=1),
        page(is_snapshot=None),
        page(records=7),
        page(records={"a": 1}),
        page(records=[7]),
        page(records=["text"]),
        page(records=[stored(key="wrap/web1/www")]),
        page(records=[stored(key="../../etc/passwd")]),
        page(records=[stored(key=7)]),
        page(records=[stored(value="\ud800")]),
        page(records=[stored(value=None)]),
        page(records=[stored(expires_at="soon")]),
        page(records=[stored(expires_at=True)]),
        page(removed=["wrap/web1/www"]),
        page(removed=[7]),
        web.Response(body=b"<html>"),
        web.Response(body=b"[" * 100_000),
        web.Response(body=b"x" * (replies.longest_page([Kind.BUNDLE]) + 1)),
        web.Response(status=302, headers={"Location": "/elsewhere"}),
        web.Response(status=204),
        web.json_response({"type": ["x"], "detail": {"a": "\x1b[2J"}}, status=500),
    ],
    ids=lambda reply: json.dumps(reply)[:60] if not isinstance(reply, web.Response) else None,
)
async def test_reply_of_another_shape_is_unavailable(reply: object) -> None:
    async with hostile(lambda _: reply) as address, client(address) as records:
        with pytest.raises(UnavailableError) as caught:
            await anext(records.follow(Kind.BUNDLE))
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("reply", "call"),
    [
        ({"version": 7}, lambda records: records.put(KEY, b"x")),
        ({"version": ""}, lambda records: records.put(KEY, b"x")),
        ({"record": stored(key="bundle/other")}, lambda records: records.get(KEY)),
        ({"record": 7}, lambda records: records.get(KEY)),
        ({"lease": 7}, lambda records: records.acquire("one", 1)),
        ({}, lambda records: records.extend("one", 1)),
    ],
)
async def test_unusable_answer_to_a_call_is_unavailable(reply: object, call: Callable[[RelayRecords], Any]) -> None:
    async with hostile(lambda _: reply) as address, client(address) as records:
        with pytest.raises(UnavailableError, match="cannot use the reply"):
            await call(records)


async def test_relay_that_never_waits_is_asked_once_a_second() -> None:
    polls: list[str] = []

    def answer(request: web.Request) -> dict[str, object]:
        polls.append(request.query_string)
        return page(is_snapshot=False, records=[stored()] if len(polls) == 10 else [])

    async with hostile(answer) as address, client(address) as records, aclosing(records.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        assert len((await anext(updates)).records) == 1
        clock = records._clock  # noqa: SLF001 - the fake that was passed in
        assert isinstance(clock, FakeClock)
        assert clock.slept == [1.0] * 8


async def test_relay_with_another_instance_gives_a_snapshot_whatever_it_says() -> None:
    instances = iter(["one", "one", "two", "two"])

    def answer(_: web.Request) -> dict[str, object]:
        return page(instance=next(instances), is_snapshot=False, records=[stored()])

    async with hostile(answer) as address, client(address) as records, aclosing(records.follow(Kind.BUNDLE)) as updates:
        assert [(await anext(updates)).is_snapshot for _ in range(4)] == [True, False, True, False]


async def test_answer_that_does_not_come_is_unavailable() -> None:
    # The kernel connects, and no one accepts.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with client(f"127.0.0.1:{silent.getsockname()[1]}", seconds=0.05) as records:
            with pytest.raises(UnavailableError, match=r"did not answer within 0\.05 s"):
                await records.put(KEY, signed())


async def test_write_whose_answer_was_lost_can_be_repeated(running: RunningRelay) -> None:
    """Cut the connection after the relay has stored the record."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(running.issuer.path))
        head = await reader.readuntil(b"\r\n\r\n")
        inner_writer.write(head + await reader.readexactly(len(signed())))
        await inner_reader.readline()
        for one in (writer, inner_writer):
            one.transport.abort()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with (
        server,
        client(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as lossy,
        client(running.issuer) as good,
    ):
        with pytest.raises(UnavailableError, match="cannot reach"):
            await lossy.put(KEY, signed())
        assert (await good.get(KEY)) is not None
        assert await good.put(KEY, signed()) == version_of(signed())


async def test_name_with_a_public_address_is_not_connected_to() -> None:
    with pytest.raises(ValueError, match="VPN"):
        RelayRecords("8.8.8.8:8404", FakeClock())
    async with client("localhost:1") as records:
        with pytest.raises(UnavailableError, match="cannot reach"):
            await records.get(KEY)
    async with client("https://127.0.0.1:1") as records:
        with pytest.raises(UnavailableError, match="cannot reach"):
            await records.get(KEY)
