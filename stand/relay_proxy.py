"""A proxy before a relay, at a socket for the issuer and a port for nodes, which stages faults for records."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from stand.ports import free_port
from stand.relay import RelayProcess

_RECORDS: Final = "/v1/records/"
_FORWARDED: Final = ("Authorization", "Content-Type")


@dataclass(frozen=True, slots=True)
class PutRecord:
    """A record on its way to the relay: its key, and what its message says."""

    key: str
    number: int
    body: dict[str, Any]


# A fault gets the record and a function that puts it into the relay.
Fault = Callable[[PutRecord, Callable[[], Awaitable[None]]], Awaitable[None]]


class RelayProxy:
    """`async with RelayProxy(folder, relay) as proxy`: use its socket and its address in place of the relay's.

    A request to a relay that is down, or goes down, loses its connection, as it would without a proxy.
    """

    def __init__(self, folder: Path, relay: RelayProcess) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.issuer_socket = folder / "issuer.sock"
        self.address = f"{relay.host}:{free_port()}"
        self._relay = relay
        self._stack = AsyncExitStack()
        self._staged: list[tuple[Callable[[PutRecord], bool], Fault]] = []
        self.put: list[PutRecord] = []

    def stage(self, is_wanted: Callable[[PutRecord], bool], fault: Fault) -> None:
        """Stage a fault for the next such record, once."""
        self._staged.append((is_wanted, fault))

    @property
    def staged(self) -> int:
        """Return the number of faults that have not come to pass."""
        return len(self._staged)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._serve(stack, f"unix:{self._relay.issuer_socket}")
            await self._serve(stack, self._relay.address)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _serve(self, stack: AsyncExitStack, relay: str) -> None:
        """Listen in place of this address of the relay."""
        is_unix = relay.startswith("unix:")
        # The relay may be another process by the next request.
        connector = (
            aiohttp.UnixConnector(relay.removeprefix("unix:"), force_close=True)
            if is_unix
            else aiohttp.TCPConnector(force_close=True)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        origin = "http://relay" if is_unix else f"http://{relay}"

        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            return await self._pass_on(request, session, origin)

        runner = web.ServerRunner(web.Server(serve), shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        host, _, port = self.address.rpartition(":")
        site = web.UnixSite(runner, self.issuer_socket) if is_unix else web.TCPSite(runner, host, int(port))
        await site.start()

    async def _pass_on(
        self, request: web.BaseRequest, session: aiohttp.ClientSession, origin: str
    ) -> web.StreamResponse:
        content = await request.read()
        replies: list[web.Response] = []

        async def forward() -> None:
            headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
            url = f"{origin}{request.raw_path}"
            async with session.request(request.method, url, data=content or None, headers=headers) as reply:
                kind = reply.headers.get("Content-Type", "")
                replies.append(web.Response(status=reply.status, body=await reply.read(), content_type=kind))

        try:
            await self._forward_or_fail(request, content, forward)
        except aiohttp.ClientError:
            replies.clear()
        if not replies and request.transport is not None:
            request.transport.abort()
        return replies[-1] if replies else web.Response()

    async def _forward_or_fail(
        self, request: web.BaseRequest, content: bytes, forward: Callable[[], Awaitable[None]]
    ) -> None:
        is_carried = request.method == "POST" and request.path == _RECORDS.rstrip("/")  # a report with a poll
        if not is_carried and (request.method != "PUT" or not request.path.startswith(_RECORDS)):
            return await forward()
        record = _read(request.path.removeprefix(_RECORDS), content)
        self.put.append(record)
        for one in self._staged:
            is_wanted, fault = one
            if is_wanted(record):
                self._staged.remove(one)
                return await fault(record, forward)
        return await forward()


async def silence(_: PutRecord, forward: Callable[[], Awaitable[None]]) -> None:
    """Put the record, and answer too late."""
    await forward()
    await asyncio.sleep(3)


def _read(key: str, content: bytes) -> PutRecord:
    payload = content.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    return PutRecord(claims.get("key", key), claims["number"], claims["body"])
