"""Replies of a hostile relay take little memory, whatever is in them."""

import json
import tracemalloc

import pytest
from aiohttp import web

from tests.node.records.test_relay import KEY, client, hostile, page, stored
from wellkeeper_client import relay_wire
from wellkeeper_client.record_state import REMOVALS_BYTES
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.records import replies

_MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        b'{"records":[' + b"{}," * _MEBIBYTE + b"{}]}",
        b'{"records":' + b"[[]," * _MEBIBYTE + b"[]" + b"]" * _MEBIBYTE + b"}",
        b'{"records":"' + b"x" * 3 * _MEBIBYTE + '\N{PILE OF POO}"}'.encode(),
        b'{"records":"' + b"x" * 3 * _MEBIBYTE + b'\\ud83d\\udca9"}',
    ],
    ids=["objects", "depth", "four bytes for each character", "four bytes, escaped"],
)
def test_reply_takes_no_multiple_of_its_size(body: bytes) -> None:
    json.loads(b"{}")
    tracemalloc.start()
    try:
        assert replies.parse(replies.decode(bytearray(body), len(body))) == {}
        assert tracemalloc.get_traced_memory()[1] < 1.2 * len(body)
    finally:
        tracemalloc.stop()


def test_fullest_page_of_a_relay_is_read() -> None:
    record = {"key": "wrap/web1/a", "value": "x" * 64, "expires_at": 1.5}
    removed = ["wrap/a/a"] * (REMOVALS_BYTES // 40)
    found = page(records=[record] * 512, removed=removed)
    body = bytearray(json.dumps(found).encode())
    assert len(replies.parse(replies.decode(body, replies.longest_page(Kind)))["records"]) == 512


def test_reply_that_is_too_long_is_not_even_decoded() -> None:
    assert replies.decode(bytearray(b"{}"), 2) == "{}"
    assert replies.decode(bytearray(b"{} "), 2) == ""


@pytest.mark.parametrize("removed", [[], ["bundle/" + "a" * 240] * (REMOVALS_BYTES // 279)])
async def test_longest_manifest_passes(removed: list[str]) -> None:
    longest = stored(key="manifest/fleet", value="x" * Kind.MANIFEST.longest)
    reply = page(records=[longest], removed=removed)
    async with hostile(lambda _: reply) as address, client(address) as records:
        update = await anext(records.follow(Kind.MANIFEST, Kind.BUNDLE))
        assert len(update.records[0].value) == Kind.MANIFEST.longest


async def test_record_that_is_too_long_for_its_kind_is_refused() -> None:
    long = "x" * (Kind.BUNDLE.longest + 1)
    async with hostile(lambda _: {"record": stored(value=long)}) as address, client(address) as records:
        with pytest.raises(UnavailableError, match="is longer than such a record can be"):
            await records.get(KEY)
    async with hostile(lambda _: page(records=[stored(value=long)])) as address, client(address) as records:
        with pytest.raises(UnavailableError, match="is longer than such a record can be"):
            await anext(records.follow(Kind.BUNDLE))


async def test_reply_is_read_no_further_than_what_was_asked_for_can_be() -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(64):
                await response.write(b" " * _MEBIBYTE)
                sent += 1
        except ConnectionError:
            pass
        return response

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with hostile(lambda _: None, application) as address, client(address) as records:
        for call in (records.get(KEY), records.acquire("one", 1), anext(records.follow(Kind.BUNDLE))):
            sent = 0
            with pytest.raises(UnavailableError):
                await call
            # The rest is in buffers of the kernel.
            assert sent < 16


async def test_cookies_of_a_relay_are_not_kept() -> None:
    asked: list[str | None] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Cookie"))
        return web.json_response({"record": None}, headers={"Set-Cookie": f"a{len(asked)}={'x' * 1000}"})

    async with hostile(answer) as address, client(address.replace("127.0.0.1", "localhost")) as records:
        for _ in range(3):
            assert await records.get(KEY) is None
    assert asked == [None] * 3


def test_longest_reply_depends_on_the_kinds() -> None:
    assert replies.longest_page([Kind.PUBLICATION]) < _MEBIBYTE
    assert Kind.MANIFEST.longest < replies.longest_page(Kind) < 1.2 * _MEBIBYTE
    assert replies.longest_page([Kind.WRAP]) > relay_wire.PAGE_BYTES
