"""Open listening sockets with their final mode. Stale sockets are replaced; sockets in use and other files are not."""

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wellkeeper_client import permissions
from wellkeeper_client.own_addresses import why_not_bound
from wellkeeper_client.unix_sockets import remove_stale
from wellkeeper_responder.capacity import ACCEPTED_AT_ONCE
from wellkeeper_responder.connections import ConnectionServer
from wellkeeper_responder.settings import Address, TcpAddress, UnixAddress

_BACKLOG: Final = 1024
_ELSEWHERE: Final = ". Choose an address of this host."
_REMEDIES: Final = {
    errno.EADDRINUSE: ". Choose another address, or stop the process that uses it.",
    errno.EADDRNOTAVAIL: _ELSEWHERE,
    None: _ELSEWHERE,  # as `why_not_bound` has it
}


class ListenError(Exception):
    """A listener cannot be opened; the text has its address, the cause and the remedy."""


class Listener:
    """One listening address, from `open` to `close`."""

    def __init__(self, address: Address, connections: ConnectionServer, server: asyncio.Server) -> None:
        self.address = address
        self._connections = connections
        self._server = server
        self._identity = _identity(address.path) if isinstance(address, UnixAddress) else None

    @classmethod
    async def open(
        cls, address: Address, mode: int, connections: ConnectionServer, hosts: Sequence[str] = ()
    ) -> "Listener":
        """Listen on the address, with `mode` for a unix socket. `address` gets the real port. Raises ListenError.

        `hosts` are the IP addresses of a host name, which is resolved here if they are not given.
        """
        loop = asyncio.get_running_loop()
        try:
            if isinstance(address, UnixAddress):
                bound = _bind(address.path, mode)
                server = await loop.create_unix_server(connections, sock=bound, backlog=ACCEPTED_AT_ONCE)
            else:
                server = await loop.create_server(
                    connections, hosts or address.host, address.port, backlog=ACCEPTED_AT_ONCE
                )
                address = TcpAddress(address.host, server.sockets[0].getsockname()[1])
        except OSError as error:
            raise ListenError(f"cannot listen on {address}: {reason(error, address)}") from error
        _lengthen_queues(server)
        return cls(address, connections, server)

    def stop_accepting(self) -> None:
        """Accept no more connections, and remove the unix socket's file unless another process replaced it."""
        # Closing the server now would break a connection that is being accepted (CPython 3.11, Server._attach).
        for listening in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        identity, self._identity = self._identity, None
        if identity is not None and isinstance(self.address, UnixAddress) and _identity(self.address.path) == identity:
            self.address.path.unlink(missing_ok=True)

    async def close(self, timeout_seconds: float) -> None:
        """Close idle connections at once, and others after their answer or the time-out.

        The time-out may elapse twice: once for the request, once more for its cancellation.
        """
        self.stop_accepting()
        # Let requests that were already read reach their handlers.
        await _loop_cycles()
        self._server.close()
        self._connections.pre_shutdown()
        await self._connections.shutdown(timeout_seconds)
        await _loop_cycles()


def _lengthen_queues(server: asyncio.Server) -> None:
    """Let more clients wait: asyncio accepts as many at once as its backlog says, and those need a file each."""
    for listening in server.sockets:
        with socket.socket(fileno=os.dup(listening.fileno())) as same:
            same.listen(_BACKLOG)


async def _loop_cycles() -> None:
    """Let the loop finish what it started: accepting a connection takes three cycles, closing one takes one."""
    for _ in range(4):
        await asyncio.sleep(0)


def _bind(path: Path, mode: int) -> socket.socket:
    """Return a bound socket that refuses connections until it listens. Its file never has a wider mode than `mode`."""
    if fault := permissions.find_fault(path.parent):
        raise ListenError(f"cannot listen on unix:{path}: {fault.why}. {fault.remedy}")
    if complaint := remove_stale(path):
        raise ListenError(f"cannot listen on unix:{path}: {complaint}")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0)  # a later chmod would follow a link that was put there
    try:
        # Linux creates the file with this mode minus the umask (net/unix/af_unix.c, unix_bind_bsd).
        os.fchmod(bound.fileno(), mode)
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(umask)
    return bound


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def reason(error: OSError, address: Address) -> str:
    """Return the cause and the remedy as sentences."""
    if isinstance(address, UnixAddress):
        return _reason_for_socket(error, address.path.parent)
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}. Use an IP address of this host, or a name that resolves to one."
    why = why_not_bound(error)
    if isinstance(error, PermissionError):
        return f"{why}. Choose a port above 1023, which any user (here uid {os.geteuid()}) may use."
    return f"{why}{_REMEDIES.get(error.errno, '')}"


def _reason_for_socket(error: OSError, folder: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{folder} does not exist. Create this directory for this program's user."
    if isinstance(error, PermissionError):
        return (
            f"{error.strerror}. Let this program's user (uid {os.geteuid()}) write to {folder}"
            " (systemd: RuntimeDirectory=; in a container a volume, or a tmpfs with its uid)."
        )
    if error.errno == errno.EROFS:
        return (
            f"{error.strerror}. Mount a volume at {folder}, or a tmpfs that belongs to this program's user"
            f" (uid {os.geteuid()})."
        )
    return error.strerror or str(error)
