"""A lying responder, for a limited time: every reply leads to a result or an error of ours; see test_hostile_ca.py."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fakes import FakeClock
from tests.hostile_replies import any_body, check_error, check_texts
from tests.node.responders.test_client import client
from tests.responder.messages import TOKEN
from wellkeeper_node.errors import PublishError

pytestmark = pytest.mark.slow

_ATTEMPTS: Final = 400
_FETCH: Final = {"sequence": 1, "token": TOKEN, "client_address": "192.0.2.7", "status": 200, "is_read_back": False}
_USUAL: Final[tuple[dict[str, Any], ...]] = (
    {"instance_id": "i", "expires_in_seconds": 600, "clock": 1.5, "warning": "clocks differ"},
    {"instance_id": "i", "next": 1, "gap": None, "fetches": [_FETCH]},
    {"detail": "expired", "clock": 1.5},
    {"account_thumbprints": ["x"]},
)
_HEADS: Final = ("200 OK", "201 Created", "204 No", "302 Found", "400 No", "401 No", "503 No", "999 No", "\x1b 0", "")


def any_response(chance: random.Random) -> bytes:
    body = any_body(chance.choice(_USUAL), chance).encode(errors="surrogateescape")
    length = len(body) + chance.choice((0, 0, 0, 0, 7))
    head = f"HTTP/1.1 {chance.choice(_HEADS)}\r\nContent-Length: {length}\r\nConnection: close\r\n"
    head += chance.choice(("", "", "Content-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n"))
    return f"{head}\r\n".encode() + body


async def test_every_reply_of_a_lying_responder_leads_to_a_result_or_an_error_of_ours(
    folder: Path, clock: FakeClock, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random("lying responder")  # noqa: S311 - to be repeated, not to be secret
    ends_at = time.monotonic() + float(pytestconfig.getoption("hostile_seconds"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(any_response(chance))
        writer.close()

    server = await asyncio.start_unix_server(serve, folder / "lying.sock")
    attempts = refused = 0
    async with client(f"unix:{folder}/lying.sock", clock) as one:
        requests = (
            lambda: one.put(TOKEN, "message"),
            lambda: one.delete(TOKEN, "message"),
            lambda: one.fetches(0, wait_seconds=0),
            one.status,
        )
        while attempts < _ATTEMPTS or time.monotonic() < ends_at:
            attempts += 1
            try:
                found = await chance.choice(requests)()
            except PublishError as error:
                refused += 1
                check_error(error)
            else:
                if not isinstance(found, dict):
                    check_texts(found)
    server.close()
    await server.wait_closed()
    record_property("attack", f"lying responder: {attempts} attempts, {refused} reported as errors")
    assert refused > attempts / 3
