"""An engine that a test plays: a RESP server on a unix socket, whose replies may be anything."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

Replies = Callable[[Sequence[bytes]], bytes]


@asynccontextmanager
async def played_engine(path: Path, replies: Replies) -> AsyncIterator[str]:
    """Yield its address; `replies` gets each command, and returns the bytes to send."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                writer.write(replies(await _command(reader)))
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix:{path}"
    finally:
        server.close()
        for one in writers:
            one.close()
        await asyncio.gather(*(one.wait_closed() for one in writers), return_exceptions=True)


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    count = int((await reader.readuntil(b"\r\n"))[1:])
    found = []
    for _ in range(count):
        length = int((await reader.readuntil(b"\r\n"))[1:])
        found.append((await reader.readexactly(length + 2))[:-2])
    return found


def bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


def array(*items: bytes) -> bytes:
    return b"*%d\r\n%b" % (len(items), b"".join(items))
