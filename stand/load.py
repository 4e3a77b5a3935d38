"""Put load on nginx, and count requests precisely: served, retried, failed.

A reload closes idle kept-alive connections without notice. If a reused connection ends before the first byte of the
reply, the client repeats the request once on a new connection, as browsers do: it is *retried*, and then served or
failed. Everything else that goes wrong is *failed*. Raw streams are used, because libraries retry requests themselves.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Self

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_KEPT_REASONS: Final = 5


@dataclass(frozen=True, slots=True)
class Target:
    """The server to request from, over TLS when `tls` is given (`unverified_tls()` accepts any certificate)."""

    host: str
    port: int
    name: str
    tls: ssl.SSLContext | None = None
    path: str = "/"

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.name}:{self.port}{self.path}"


@dataclass(slots=True)
class Counts:
    """Each request is either served or failed; `retried` counts the repeated ones among them."""

    served: int = 0
    retried: int = 0
    failed: int = 0
    reasons: list[str] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        self.failed += 1
        if len(self.reasons) < _KEPT_REASONS:
            self.reasons.append(reason)


class _NoReplyError(Exception):
    """The connection ended before the first byte of the reply."""


class _FailedError(Exception):
    """The reply is incomplete, or its status is not 200."""


class _Connection:
    """One connection, for one request at a time."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target = target
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, target: Target) -> Self:
        name = target.name if target.tls else None
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls, server_hostname=name)
        return cls(target, reader, writer)

    async def ask(self, *, keep: bool) -> bool:
        """One whole reply; whether the connection may be used again. Raises _NoReplyError or _FailedError."""
        target = self._target
        connection = "keep-alive" if keep else "close"
        request = f"GET {target.path} HTTP/1.1\r\nHost: {target.name}\r\nConnection: {connection}\r\n\r\n"
        first = await self._first_byte(request.encode())
        try:
            head = first + await self._reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if length is None:
                raise _FailedError("a reply without Content-Length")
            await self._reader.readexactly(int(length[1]))
        except (OSError, EOFError) as error:
            raise _FailedError(f"the reply broke off: {error!r}") from error
        status = head.split(b" ", 2)[1].decode()
        if status != "200":
            raise _FailedError(f"status {status}")
        return keep and _CLOSE.search(head) is None

    def close(self) -> None:
        self._writer.transport.abort()

    async def _first_byte(self, request: bytes) -> bytes:
        try:
            self._writer.write(request)
            await self._writer.drain()
            return await self._reader.readexactly(1)
        except (OSError, EOFError) as error:
            raise _NoReplyError(repr(error)) from error


class Load:
    """`async with Load(targets).running() as counts`: half of the clients keep their connections, half never do.

    Each client pauses `pause_seconds` between requests. Leaving ends the load after the requests in progress.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        clients_per_target: int = 4,
        pause_seconds: float = 0.01,
        timeout_seconds: float = 10.0,
    ) -> None:
        self._clients = [
            (target, number % 2 == 0) for target in targets for number in range(max(2, clients_per_target))
        ]
        self._pause_seconds = pause_seconds
        self._timeout_seconds = timeout_seconds
        self._stopping = asyncio.Event()
        self._one_ended = asyncio.Event()
        self.counts = Counts()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Counts]:
        # Not a task group, which would wrap what the body raises.
        clients = [asyncio.create_task(self._client(target, keep=keep)) for target, keep in self._clients]
        try:
            yield self.counts
        finally:
            self._stopping.set()
            await asyncio.gather(*clients)

    async def reach(self, total: int) -> None:
        """Returns when so many requests were served or have failed."""
        while self.counts.served + self.counts.failed < total:
            self._one_ended.clear()
            await self._one_ended.wait()

    async def _client(self, target: Target, *, keep: bool) -> None:
        kept: _Connection | None = None
        try:
            while not self._stopping.is_set():
                kept = await self._request(target, kept, keep=keep)
                self._one_ended.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._pause_seconds)
        finally:
            if kept is not None:
                kept.close()

    async def _request(self, target: Target, kept: _Connection | None, *, keep: bool) -> _Connection | None:
        """Send a request, and count it once. Return the connection if it can be reused."""
        if kept is not None:
            try:
                return await self._served(target, kept, keep=keep)
            except _NoReplyError:
                self.counts.retried += 1
        try:
            async with asyncio.timeout(self._timeout_seconds):
                fresh = await _Connection.open(target)
            return await self._served(target, fresh, keep=keep)
        except TimeoutError:
            self.counts.fail(f"{target}: no connection within {self._timeout_seconds:g} s")
        except (OSError, _NoReplyError) as error:
            self.counts.fail(f"{target}: {error}")
        return None

    async def _served(self, target: Target, connection: _Connection, *, keep: bool) -> _Connection | None:
        """Count the reply. Raises only _NoReplyError."""
        is_kept = False
        try:
            async with asyncio.timeout(self._timeout_seconds):
                is_kept = await connection.ask(keep=keep)
            self.counts.served += 1
        except TimeoutError:
            self.counts.fail(f"{target}: no reply within {self._timeout_seconds:g} s")
        except _FailedError as error:
            self.counts.fail(f"{target}: {error}")
        finally:
            if not is_kept:
                connection.close()
        return connection if is_kept else None


def unverified_tls() -> ssl.SSLContext:
    """Return a context that accepts any certificate, including self-signed placeholders."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
