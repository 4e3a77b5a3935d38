"""Upstreams of nginx in tests: a responder in this process, or a server that only records."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.responder.http import ask
from tests.responder.messages import KEY, TOKEN, TRUST, publication
from wellkeeper_client import wire
from wellkeeper_client.signing import sign_publication
from wellkeeper_responder.app import Responder
from wellkeeper_responder.clock import SystemClock
from wellkeeper_responder.settings import Settings, UnixAddress


@asynccontextmanager
async def responding(folder: Path, *tokens: str) -> AsyncIterator[Path]:
    """Run a responder that holds these tokens; yield its public socket, beside the control socket."""
    public, control = UnixAddress(folder / "public.sock"), UnixAddress(folder / "control.sock")
    settings = Settings(TRUST, (public,), (control,))
    async with Responder(settings, SystemClock()):
        for token in tokens:
            await publish(folder, token)
        yield public.path


async def publish(folder: Path, token: str = TOKEN) -> None:
    """Publish the token at the responder whose control socket is in the directory."""
    message = sign_publication(publication(token, issued_at=int(time.time())), KEY)
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
    address = UnixAddress(folder / "control.sock")
    reply = await ask(address, "PUT", wire.TOKENS_PREFIX + token, headers, message)
    if reply.status not in {200, 201}:
        raise RuntimeError(f"the responder did not take the token: {reply}")


class Recorder:
    """An upstream on a unix socket that answers everything with 200 and remembers every request, byte for byte."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    @asynccontextmanager
    async def listening(self, folder: Path) -> AsyncIterator[Path]:
        path = folder / "public.sock"
        server = await asyncio.start_unix_server(self._serve, path)
        path.chmod(0o666)
        async with server:
            yield path

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nrecorded")
        await writer.drain()
        writer.close()
