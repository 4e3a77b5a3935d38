"""The real `wellkeeper-responder`, as a process with unix sockets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stand.processes import PROGRAMS, Process, Running, accepts_unix

PROGRAM: Final = "wellkeeper-responder"
INSTALLED: Final = PROGRAMS / PROGRAM


class ResponderProcess(Running):
    """`async with ResponderProcess(folder, trust_path) as responder`: its sockets are in `folder`.

    nginx's workers must have access to the directory, and its path must be short.
    """

    def __init__(
        self,
        folder: Path,
        trust_path: Path,
        *,
        name: str = "responder",
        program: Path = INSTALLED,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.public_socket = folder / "public.sock"
        self.control_socket = folder / "control.sock"
        argv = [
            str(program),
            "--public",
            f"unix:{self.public_socket}",
            "--control",
            f"unix:{self.control_socket}",
            "--trust",
            str(trust_path),
        ]
        self.process = Process(name, argv, folder / f"{name}.log", environment)

    @property
    def control_address(self) -> str:
        """Return the address for an issuer's settings."""
        return f"unix:{self.control_socket}"

    async def is_ready(self) -> bool:
        return await accepts_unix(self.public_socket) and await accepts_unix(self.control_socket)
