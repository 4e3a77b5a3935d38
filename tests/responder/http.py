"""Raw HTTP, byte for byte: client libraries normalise paths and headers before they send them."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wellkeeper_responder.settings import Address, UnixAddress


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever was sent
        return json.loads(self.body)


async def connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, UnixAddress):
        return await asyncio.open_unix_connection(str(address.path))
    return await asyncio.open_connection(address.host, address.port)


async def send(address: Address, request: bytes) -> bytes:
    """Send the request and return everything received until the other side closes."""
    reader, writer = await connect(address)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


async def ask(
    address: Address,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | str | None = None,
) -> Reply:
    """Send one request on its own connection, with the path unchanged."""
    content = body.encode() if isinstance(body, str) else body
    lines = {"Host": "example.com", "Connection": "close", **(headers or {})}
    if content is not None:
        lines.setdefault("Content-Length", str(len(content)))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    return parse(await send(address, head.encode("utf-8", "surrogateescape") + (content or b"")))


async def ask_until(address: Address, path: str, is_wanted: Callable[[Reply], bool], seconds: float = 60) -> Reply:
    """Repeat GET until the reply is the wanted one; raise TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            # A refused connection may close before its 503 is read.
            with contextlib.suppress(ConnectionError):
                reply = await ask(address, "GET", path)
                if is_wanted(reply):
                    return reply


def parse(answer: bytes) -> Reply:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Reply(int(status.split()[1]), headers, body)


def problem_of(reply: Reply, status: int, name: str) -> dict[str, Any]:
    """Return the problem document of a refusal after checking status and type (RFC 9457)."""
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/problem+json")
    problem: dict[str, Any] = reply.json()
    assert problem["type"] == f"urn:wellkeeper:problem:{name}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem
