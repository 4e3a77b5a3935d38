"""Serve the daemon's socket: several clients at once; work continues when its client disconnects."""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.daemon.socket import LONGEST_LINE, Message, encode, read_message
from wellkeeper_node.errors import WellkeeperError

_log = logging.getLogger(__name__)

Tell = Callable[[Message], None]
# Called with the request and a callback for its events; returns the result.
Handler = Callable[[Message, Tell], Coroutine[Any, Any, Message]]

_REQUEST_SECONDS: Final = 10.0
# Messages queued for a client that does not read; more are left out and counted.
_MOST_WAITING: Final = 20_000
_PEER: Final = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


@asynccontextmanager
async def daemon_socket(
    path: Path, handlers: Mapping[str, Handler], allowed_uids: frozenset[int] | None = None
) -> AsyncIterator[None]:
    """Serve requests inside the context; leaving it cancels all work and reports that to the clients.

    Only for the owner of the state: it replaces an existing socket as that of a dead daemon. `allowed_uids` defaults to
    root and our own user. Raises DaemonError when the socket cannot be created.
    """
    conversations = _Conversations(handlers, allowed_uids or frozenset({0, os.geteuid()}))
    server = await asyncio.start_unix_server(conversations.serve, sock=_bind(path), limit=LONGEST_LINE)
    try:
        yield
    finally:
        server.close()
        _unbind(path)
        await conversations.end()


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)  # before it listens, so that no other user can connect
    except OSError as error:
        listener.close()
        raise DaemonError(
            f"cannot create the daemon's socket {path}",
            error.strerror or str(error),
            "Make sure that the issuer's user can write to state_dir.",
        ) from error
    return listener


def _unbind(path: Path) -> None:
    # The next daemon replaces a socket that stays.
    with contextlib.suppress(OSError):
        path.unlink()


class _Outbox:
    """The queue of messages to one client."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._left_out = 0
        self._changed = asyncio.Event()
        self._is_ended = False

    def tell(self, message: Message) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(message)
            self._changed.set()
        else:
            self._left_out += 1

    def end(self, message: Message) -> None:
        if self._left_out:
            self._waiting.append({"event": "left out", "count": self._left_out})
        self._waiting.append(message)
        self._is_ended = True
        self._changed.set()

    async def write_to(self, writer: asyncio.StreamWriter) -> None:
        """Write until the end. Raises ConnectionError when the client has disconnected."""
        while self._waiting or not self._is_ended:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting:
                writer.write(encode(self._waiting.popleft()))
                await writer.drain()


class _Conversations:
    def __init__(self, handlers: Mapping[str, Handler], allowed_uids: frozenset[int]) -> None:
        self._handlers = handlers
        self._allowed_uids = allowed_uids
        self._works: set[asyncio.Task[Message]] = set()
        self._connections: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client, from its request to the answer."""
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            # When the client disconnects, its work continues.
            with contextlib.suppress(ConnectionError):
                outbox = await self._begin(reader, _uid(writer))
                await outbox.write_to(writer)
        finally:
            writer.close()

    async def _begin(self, reader: asyncio.StreamReader, uid: int) -> _Outbox:
        """Read the request and start its work; answer with an error when the request is not valid."""
        outbox = _Outbox()
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                request = await read_message(reader)
            work = self._handler(request or {}, uid)(request or {}, outbox.tell)
        except TimeoutError:
            outbox.end(_error(DaemonError(f"no request received within {_REQUEST_SECONDS:.0f} s")))
        except DaemonError as error:
            outbox.end(_error(error))
        else:
            task = asyncio.create_task(work)
            self._works.add(task)
            task.add_done_callback(lambda done: self._finish(done, outbox))
        return outbox

    def _handler(self, request: Message, uid: int) -> Handler:
        command = request.get("command")
        if uid not in self._allowed_uids:
            raise DaemonError(
                f"the daemon refused the request of uid {uid}",
                remedy="Run the command with sudo, or as the issuer's user.",
            )
        if command not in self._handlers:
            raise DaemonError(f"unknown command {command!r:.40}", f"known commands are {', '.join(self._handlers)}")
        return self._handlers[str(command)]

    def _finish(self, work: asyncio.Task[Message], outbox: _Outbox) -> None:
        self._works.discard(work)
        if work.cancelled():
            outbox.end(_error(DaemonError("the daemon is stopping", remedy="The next run resumes the work.")))
            return
        error = work.exception()
        if error is None:
            outbox.end({"result": work.result()})
        elif isinstance(error, WellkeeperError):
            outbox.end(_error(error))
        else:
            _log.error("unexpected error in a request; please report it", exc_info=error)
            remedy = "Please report it with the daemon's log."
            outbox.end({"error": "unexpected error", "why": repr(error), "remedy": remedy, "stage": "internal"})

    async def end(self) -> None:
        """Cancel all work, then wait until the answers are written, for one second at most."""
        await _cancelled(self._works)
        _, pending = await asyncio.wait(self._connections, timeout=1.0) if self._connections else (set(), set())
        await _cancelled(pending)


async def _cancelled(tasks: set[asyncio.Task[Any]]) -> None:
    found = list(tasks)
    for task in found:
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)


def _uid(writer: asyncio.StreamWriter) -> int:
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return int(_PEER.unpack(credentials)[1])


def _error(error: WellkeeperError) -> Message:
    lines = {"error": error.what, "why": error.why, "remedy": error.remedy}
    return lines | {"stage": error.stage, "retry": error.retry.value}
