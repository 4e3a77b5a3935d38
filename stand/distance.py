"""A TCP proxy that makes a server seem far away: it delays every byte, and counts connections."""

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from stand.local_server import LocalServer

_PIECE_BYTES: Final = 65_536


class DistantServer(LocalServer):
    """`async with DistantServer(url, one_way_seconds) as distant`; `distant.url` is the same on another port.

    A new connection costs a round trip before its first byte, like TCP's handshake; bandwidth is not limited.
    """

    def __init__(self, url: str, one_way_seconds: float) -> None:
        super().__init__()
        self._server_url = urlsplit(url)
        self._one_way_seconds = one_way_seconds
        self.connections = 0

    @property
    def url(self) -> str:
        return self._server_url._replace(netloc=f"{self._server_url.hostname}:{self.port}").geturl()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await asyncio.sleep(2 * self._one_way_seconds)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_url.port)
        try:
            await asyncio.gather(self._delay(reader, far_writer), self._delay(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    async def _delay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while piece := await reader.read(_PIECE_BYTES):
                loop.call_later(self._one_way_seconds, writer.write, piece)
        await asyncio.sleep(self._one_way_seconds)
        with suppress(OSError):
            writer.write_eof()
