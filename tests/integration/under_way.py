"""A running issuer, followed stage by stage and stopped by a test; and a gate that delays the CA."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from stand.issuer import Finished, Issuer
from stand.nginx import Address


class Run:
    """One `renew` whose events are read as they arrive."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, stage: str, event: str, certificate: str | None = "web") -> dict[str, Any]:
        """Wait for the event and return it; None means any certificate; the run continues meanwhile."""
        wanted = {"stage": stage, "event": event} | ({"certificate": certificate} if certificate else {})
        async for line in self._read():
            found: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if wanted.items() <= found.items():
                return found
        raise AssertionError(f"the run ended without {wanted}: {''.join(self.lines)}")

    async def until_said(self, words: str) -> None:
        """Wait for a line with these words; the run continues meanwhile."""
        async for line in self._read():
            if words in line:
                return
        raise AssertionError(f"the run ended without {words!r}: {''.join(self.lines)}")

    async def finish(self) -> Finished:
        """Wait for the end of the run."""
        async for _ in self._read():
            continue
        assert self.process.stdout is not None
        out = await self.process.stdout.read()
        return Finished(await self.process.wait(), out.decode(), "".join(self.lines))

    async def end(self, number: signal.Signals) -> Finished:
        self.process.send_signal(number)
        return await self.finish()

    async def _read(self) -> AsyncIterator[str]:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode())
            yield self.lines[-1]


@asynccontextmanager
async def renewing(issuer: Issuer, *arguments: str) -> AsyncIterator[Run]:
    """Run `renew`; kill it on leaving if it still runs."""
    run = Run(await issuer.start("renew", "--log-format", "json", *arguments))
    try:
        yield run
    finally:
        if run.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.process.pid, signal.SIGKILL)
        await run.finish()


class Gate:
    """Listens where the CA fetches tokens, holds its connections until opened, and then forwards them to nginx.

    `async with Gate(address, onward) as gate`; a CA held here has not decided.
    """

    def __init__(self, address: Address, onward: Address) -> None:
        self._address = address
        self._onward = onward
        self._knocked = asyncio.Event()
        self._opened = asyncio.Event()
        self._passages: set[asyncio.Task[None]] = set()

    async def knocked(self) -> None:
        """Wait until the CA has connected."""
        await self._knocked.wait()

    def open(self) -> None:
        self._opened.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, *self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for passage in self._passages:
            passage.cancel()
        await asyncio.gather(*self._passages, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passage = asyncio.ensure_future(self._pass(reader, writer))
        self._passages.add(passage)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self._knocked.set()
            await self._opened.wait()
            reply, onward = await asyncio.open_connection(*self._onward)
            onward.write(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            try:
                writer.write(await reply.read())
                await writer.drain()
            finally:
                onward.transport.abort()
            writer.close()
            await writer.wait_closed()
        finally:
            writer.transport.abort()
