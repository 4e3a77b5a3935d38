"""The real `wellkeeper-relay`, as a process with a unix socket for the issuer and a port for nodes."""

import asyncio
import signal
from pathlib import Path
from typing import Final

from stand.ports import free_port
from stand.processes import PROGRAMS, Process, Running, accepts, accepts_unix

PROGRAM: Final = PROGRAMS / "wellkeeper-relay"


class RelayProcess(Running):
    """`async with RelayProcess(folder, fleet_keys) as relay`: the issuer's socket is in `folder`.

    Nodes reach it at a free port of `host`.
    """

    def __init__(self, folder: Path, fleet_keys: tuple[str, ...], host: str = "127.0.0.1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.issuer_socket = folder / "issuer.sock"
        self._restarting = asyncio.Lock()
        self.host, self.port = host, free_port()
        argv = [str(PROGRAM), "--issuer", f"unix:{self.issuer_socket}", "--nodes", self.address]
        for key in fleet_keys:
            argv += ["--fleet-key", key]
        self.process = Process("relay", argv, folder / "relay.log")

    async def restart(self) -> None:
        """Kill the relay, whose memory is lost, and start another. Concurrent calls run one after another."""
        async with self._restarting:
            self.process.signal(signal.SIGKILL)
            await self.process.wait()
            await self.process.start(self.is_ready)

    @property
    def address(self) -> str:
        """Return the address for nodes."""
        return f"{self.host}:{self.port}"

    async def is_ready(self) -> bool:
        return await accepts_unix(self.issuer_socket) and await accepts(self.host, self.port)
