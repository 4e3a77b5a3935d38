"""A socket for a relay that may be hostile: it gives little at once, and breaks when a reply has no end."""

import socket
from typing import Any, Final

# aiohttp parses all that has arrived, also of a relay that sends thousands of replies to one request.
AT_ONCE: Final = 8 * 1024
# The longest page has little more than a megabyte; in chunks of one byte, six times as much.
MOST: Final = 8 * 1024 * 1024


class LimitedSocket(socket.socket):
    """Raises ConnectionAbortedError for more than MOST bytes after it last sent something."""

    _received = 0

    def send(self, data: Any, flags: int = 0, /) -> int:  # noqa: ANN401 - as in socket
        self._received = 0
        return super().send(data, flags)

    def sendmsg(self, buffers: Any, /) -> int:  # type: ignore[override]  # noqa: ANN401 - as asyncio calls it
        self._received = 0
        return super().sendmsg(buffers)

    def recv(self, most: int, flags: int = 0, /) -> bytes:
        found = super().recv(min(most, AT_ONCE), flags)
        self._count(len(found))
        return found

    def recv_into(self, buffer: Any, most: int = 0, flags: int = 0) -> int:  # noqa: ANN401 - as in socket
        """With TLS, asyncio calls this."""
        count = super().recv_into(buffer, min(most or memoryview(buffer).nbytes, AT_ONCE), flags)
        self._count(count)
        return count

    def _count(self, received: int) -> None:
        self._received += received
        if self._received > MOST:
            raise ConnectionAbortedError(0, f"it sent more than {MOST} bytes")
