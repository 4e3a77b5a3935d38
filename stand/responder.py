"""The real `wellkeeper-responder`, as a process with unix sockets."""

from pathlib import Path
from typing import Final

from stand.processes import PROGRAMS, Process, Running, accepts_unix

PROGRAM: Final = "wellkeeper-responder"
INSTALLED: Final = PROGRAMS / PROGRAM


class ResponderProcess(Running):
    """`async with ResponderProcess(folder, publishing_key, thumbprint) as responder`.

    The public key is base64url of its raw bytes, as for the option; several keys or thumbprints are separated by
    spaces. nginx's workers must have access to the directory, and its path must be short.
    """

    def __init__(
        self,
        folder: Path,
        publishing_key: str,
        thumbprint: str,
        *,
        name: str = "responder",
        program: Path = INSTALLED,
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
            *(part for key in publishing_key.split() for part in ("--publishing-key", key)),
            *(part for one in thumbprint.split() for part in ("--account-thumbprint", one)),
        ]
        self.process = Process(name, argv, folder / f"{name}.log")

    @property
    def control_address(self) -> str:
        """Return the address for an issuer's settings."""
        return f"unix:{self.control_socket}"

    async def is_ready(self) -> bool:
        return await accepts_unix(self.public_socket) and await accepts_unix(self.control_socket)
