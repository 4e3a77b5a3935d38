"""Attacks on a responder's availability and memory: floods, held connections, endless junk.

`--junk-seconds 600` sends junk for ten minutes instead of a few seconds.
"""

import asyncio
import contextlib
import itertools
import random
import resource
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from stand.responder import ResponderProcess
from tests.responder.http import ask, ask_until, connect
from tests.responder.messages import KEY, OTHER_KEY, claims, header, publication, signed, withdrawal
from tests.trust_files import trusting
from wellkeeper_client import wire
from wellkeeper_client.signing import Publication, sign_publication, sign_withdrawal
from wellkeeper_responder.settings import Address, UnixAddress

pytestmark = pytest.mark.integration

MANY_TOKENS: Final = 1_000
HALF_A_HEADER: Final = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: "
# The first junk fills bounded structures: the feed's misses, a counter for each kind of refusal.
FIRST_JUNK: Final = 3_000
# Then memory is stable apart from the allocator. A miss in the feed takes 700 bytes; 6 000 requests, 2 400 misses.
MORE_JUNK: Final = 6_000
ALLOWED_GROWTH_BYTES: Final = 600_000


@asynccontextmanager
async def responder(folder: Path) -> AsyncIterator[ResponderProcess]:
    async with ResponderProcess(folder, trusting(folder)) as running:
        yield running


def public(running: ResponderProcess) -> Address:
    return UnixAddress(running.public_socket)


def control(running: ResponderProcess) -> Address:
    return UnixAddress(running.control_socket)


def new_publication() -> Publication:
    return publication(secrets.token_urlsafe(32), jti=secrets.token_urlsafe(16), issued_at=int(time.time()))


async def publish(running: ResponderProcess) -> Publication:
    made = new_publication()
    message = sign_publication(made, KEY)
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
    assert (await ask(control(running), "PUT", wire.TOKENS_PREFIX + made.token, headers, message)).status == 201
    return made


async def is_answered(running: ResponderProcess, made: Publication) -> bool:
    reply = await ask(public(running), "GET", wire.CHALLENGE_PREFIX + made.token)
    return (reply.status, reply.body) == (200, made.key_authorization.encode())


def memory_bytes(running: ResponderProcess) -> int:
    pages = int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@asynccontextmanager
async def held(address: Address, count: int, first_bytes: bytes) -> AsyncIterator[None]:
    """Hold this many connections that send these bytes and nothing more, refused ones included."""
    writers = []
    for _ in range(count):
        _, writer = await connect(address)
        with contextlib.suppress(ConnectionError):
            writer.write(first_bytes)
        writers.append(writer)
    try:
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def dripped(address: Address, count: int) -> AsyncIterator[None]:
    """Run this many clients that send a header byte by byte, and again after being cut off."""

    async def drip() -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                _, writer = await connect(address)
                try:
                    for byte in itertools.chain(HALF_A_HEADER, itertools.repeat(ord("x"))):
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(0.1)
                finally:
                    writer.transport.abort()

    tasks = [asyncio.ensure_future(drip()) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_slow_headers_and_a_thousand_connections_on_control_do_not_block_the_public_listener(
    folder: Path,
) -> None:
    async with responder(folder) as running:
        made = await publish(running)
        async with held(control(running), 1000, b""), dripped(control(running), 50), dripped(public(running), 200):
            for _ in range(20):
                assert await is_answered(running, made)
                await asyncio.sleep(0.05)
        # Issuers are served again once the deadline for headers has passed.
        await ask_until(control(running), wire.HEALTH_PATH, lambda reply: reply.status == 200)


def junk(chance: random.Random) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield listener, method, path and body of requests that are all refused."""
    while True:
        token = secrets.token_urlsafe(32)
        for _ in range(4):
            yield "public", "GET", wire.CHALLENGE_PREFIX + secrets.token_urlsafe(32), b""
        yield "public", chance.choice(["GET", "POST", "BREW"]), f"/{secrets.token_urlsafe(chance.randint(1, 200))}", b""
        yield "control", "PUT", wire.TOKENS_PREFIX + token, secrets.token_bytes(chance.randint(0, 5000))
        yield "control", "PUT", wire.TOKENS_PREFIX + token, signed(header(), claims(token=token), OTHER_KEY)
        stale = publication(token, jti=secrets.token_urlsafe(16), issued_at=1)
        yield "control", "PUT", wire.TOKENS_PREFIX + token, sign_publication(stale, KEY).encode()
        yield "control", "GET", f"{wire.FETCHES_PATH}?after={secrets.randbits(60)}&{secrets.token_hex(8)}", b""
        yield "control", "DELETE", f"/v1/{secrets.token_hex(8)}", b""


async def send_junk(running: ResponderProcess, count: int, chance: random.Random) -> None:
    """Send junk and check that all of it is refused."""
    addresses = {"public": public(running), "control": control(running)}
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
    for listener, method, path, body in itertools.islice(junk(chance), count):
        reply = await ask(addresses[listener], method, path, headers, body)
        assert 400 <= reply.status < 500


async def test_endless_junk_does_not_increase_memory(
    folder: Path, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random("junk")  # noqa: S311 - to be repeated, not to be secret
    async with responder(folder) as running:
        await send_junk(running, FIRST_JUNK, chance)
        before, count = memory_bytes(running), 0
        ends_at = time.monotonic() + float(pytestconfig.getoption("junk_seconds"))
        while time.monotonic() < ends_at or count < MORE_JUNK:
            await send_junk(running, 1000, chance)
            count += 1000
        growth = memory_bytes(running) - before
        record_property("growth", f"{growth} bytes after {count} requests")
        assert growth < ALLOWED_GROWTH_BYTES
        assert await is_answered(running, await publish(running))


async def test_repeated_publications_and_withdrawals_leave_no_tokens(folder: Path) -> None:
    """Use the real listener; tests/responder/test_tokens.py does a hundred thousand in process."""
    async with responder(folder) as running:
        headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
        address, sizes = control(running), []
        for _ in range(2):
            made = [new_publication() for _ in range(MANY_TOKENS)]
            for one in made:
                message = sign_publication(one, KEY)
                assert (await ask(address, "PUT", wire.TOKENS_PREFIX + one.token, headers, message)).status == 201
            assert all([await is_answered(running, one) for one in made[::50]])
            for one in made:
                message = sign_withdrawal(withdrawal(one.jti, token=one.token, issued_at=one.issued_at), KEY)
                assert (await ask(address, "DELETE", wire.TOKENS_PREFIX + one.token, headers, message)).status == 204
            assert not any([await is_answered(running, one) for one in made[::50]])
            sizes.append((await ask(address, "GET", wire.STATUS_PATH)).json()["counts"])
        assert [one["tokens"] for one in sizes] == [0, 0]
        # Each is remembered until no message that names it can be accepted.
        assert [one["publications_remembered"] for one in sizes] == [MANY_TOKENS, 2 * MANY_TOKENS]
