"""A relay that is hostile to its nodes: it forges, repeats, swaps and cuts records, and breaks HTTP and JSON."""

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tests.relay.messages import STRANGER_KEY, record
from wellkeeper_client import records
from wellkeeper_client.records import Kind
from wellkeeper_node.records import replies

# A node reads no more parts of JSON at once.
_RECORDS_OF_A_PAGE: Final = 1000
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
# Of these, nodes follow all.
_KINDS: Final = (Kind.PUBLICATION, Kind.WRAP, Kind.MANIFEST, Kind.NODE)

Found = Iterator[tuple[str, bytes]]


class HostileRelay:
    """Answers every request, whatever it is, with as many pages for each reply that breaks something.

    `genuine` has all messages that were ever signed, by key, oldest first.
    """

    def __init__(self, genuine: Mapping[str, Sequence[bytes]], pages: int) -> None:
        self._genuine = genuine
        self._next = _answers(pages)
        self.sent = 0
        self.replies = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Yield the address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or b"0"))
                self.replies += 1
                writer.write(next(self._next)(self))
                await writer.drain()
        writer.transport.abort()

    def page(self, found: Found) -> bytes:
        """Return a page of these records, with more to come."""
        some = [
            {"key": key, "value": value.decode(), "expires_at": 9e9}
            for key, value in itertools.islice(found, _RECORDS_OF_A_PAGE)
            if records.kind_of(key) in _KINDS and len(value) <= records.kind_of(key).longest
        ]
        self.sent += len(some)
        return reply(some)

    def repeated(self) -> Found:
        """Yield genuine records, again and again, the newest of each key first."""
        for key, messages in itertools.cycle(self._genuine.items()):
            yield from ((key, message) for message in reversed(messages))

    def swapped(self) -> Found:
        """Yield genuine records under the keys of other nodes, lineages and kinds."""
        keys = itertools.cycle([*self._genuine, "wrap/web1/web", "node/web1", "wrap/web2/mail", "manifest/other"])
        for key, (_, message) in zip(keys, self.repeated(), strict=False):
            yield key, message

    def forged(self) -> Found:
        """Yield records of a stranger, also under the fleet's key id, and genuine ones with another signature."""
        for key, messages in itertools.cycle(self._genuine.items()):
            of_stranger = records.sign(record(key, 2**53 - 1, issued_at=int(time.time())), STRANGER_KEY).encode()
            yield key, of_stranger
            yield key, messages[-1].partition(b".")[0] + b"." + of_stranger.partition(b".")[2]
            yield key, messages[-1][:-86] + secrets.token_urlsafe(64).encode()

    def cut(self) -> Found:
        for key, message in self.repeated():
            yield key, message[: secrets.randbelow(len(message))]

    def junk(self) -> Found:
        for number in itertools.count():
            name = secrets.token_hex(8)
            key = (f"publication/{name}", f"wrap/{name}/{number}", f"manifest/{name}", f"node/{name}")[number % 4]
            yield key, secrets.token_urlsafe(secrets.randbelow(120)).encode()


def reply(some: object, **changes: object) -> bytes:
    usual = {"next": 9, "is_snapshot": False, "is_whole": False, "removed": []}
    return _http(json.dumps({"instance": "i", "records": some, **usual, **changes}).encode())


def _http(body: bytes, more: bytes = b"") -> bytes:
    return _HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


# The rest of such a reply is short.
_LONG: Final = replies.longest_page(_KINDS) - 1000

_BREAKING: Final[tuple[bytes, ...]] = (
    reply([]).replace(_HEAD, _HEAD + b"".join(b"Set-Cookie: c%d=%s\r\n" % (n, b"x" * 3000) for n in range(50))),
    reply([{}] * (_LONG // 4)),
    reply([[]] * (_LONG // 4)),
    _http(b'{"records": "' + b"x" * _LONG + b'\\ud83d\\udca9"}'),
    _http(b'{"records": "' + b"x" * _LONG + "\N{PILE OF POO}".encode() + b'"}'),
    _http(b"[" * _LONG),
    _http(b'{"next": ' + b"9" * _LONG + b"}"),
    _http(b'{"records": "' + b"x" * _LONG + b'"}'),
    _http(b"x" * 64_000_000),
    _http(b"\0" * 5_000_000, b"Content-Encoding: gzip\r\n"),
    b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 100_000,
    _HEAD + b"X-Y: " + b"x" * 5_000_000,
    _HEAD + b"X: y\r\n" * 500_000,
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 500_000,
    secrets.token_bytes(100_000),
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    reply([{"key": "manifest/fleet", "value": "x" * Kind.MANIFEST.longest, "expires_at": 9e9}]),
    reply([{"key": "wrap/web2/web", "value": 7, "expires_at": float("nan")}]),
    reply({}, next=-1, instance=None, is_whole="no"),
)
BREAKING: Final = len(_BREAKING)
_PAGES: Final[tuple[Callable[[HostileRelay], bytes], ...]] = tuple(
    lambda relay, found=found: relay.page(found(relay))  # type: ignore[misc]
    for found in (
        HostileRelay.repeated,
        HostileRelay.swapped,
        HostileRelay.forged,
        HostileRelay.cut,
        HostileRelay.junk,
    )
)


def _answers(pages: int) -> Iterator[Callable[[HostileRelay], bytes]]:
    """Yield without an end a reply that breaks something, then so many pages."""
    found = itertools.cycle(_PAGES)
    for breaking in itertools.cycle(_BREAKING):
        yield lambda _, breaking=breaking: breaking  # type: ignore[misc]
        yield from itertools.islice(found, pages)
