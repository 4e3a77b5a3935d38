"""A load balancer in front of one nginx: forwards TCP connections with a line of PROXY protocol."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from stand.nginx import Address


@contextlib.asynccontextmanager
async def balancing(own: Address, behind: Address, *, has_line: bool = True) -> AsyncIterator[None]:
    """Run the balancer with version 1 of the protocol, the most common, or only forward."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        upstream_reader, upstream_writer = await asyncio.open_connection(*behind)
        client, client_port = writer.get_extra_info("peername")
        if has_line:
            upstream_writer.write(f"PROXY TCP4 {client} {own[0]} {client_port} {own[1]}\r\n".encode())
        try:
            await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream_reader, writer))
        finally:
            writer.transport.abort()
            upstream_writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(serve, *own)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
        writer.write_eof()
