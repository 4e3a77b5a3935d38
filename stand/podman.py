"""podman with its own storage: containers and volumes of the machine stay as they are.

It runs what stand/images/build.sh built. Pods that get the network of the host share that of the calling process.
"""

import os
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from stand.commands import run, run_well
from stand.issuer import Finished
from stand.processes import PROJECT, find_program

_STORAGE: Final = PROJECT / ".cache/containers"
_NAME_SERVER: Final = Path("/run/containers/networks/aardvark-dns/aardvark.pid")
_COMPOSE: Final = PROJECT / ".cache/podman-compose/bin/podman-compose"


class Podman:
    """`async with Podman(folder) as podman`: leaving removes all but the images."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CONTAINERS_CONF": str(PROJECT / "stand/images/containers.conf"),
        }
        storage = ("--root", f"{_STORAGE}/storage", "--runroot", f"{_STORAGE}/run", "--storage-driver", "overlay")
        self._command = (find_program("podman"), *storage)
        # podman-compose takes the path of a program, without options.
        self._program = folder / "podman"
        self._program.write_text(f'#!/bin/sh\nexec {shlex.join(self._command)} "$@"\n')
        self._program.chmod(0o755)

    async def __aenter__(self) -> Self:
        await self.remove_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.remove_all()

    async def try_run(self, *argv: str) -> Finished:
        """Return the result of a command of podman."""
        return await run(*self._command, *argv, environment=self._environment)

    async def run(self, *argv: str) -> str:
        """Return the output of a command of podman. Raises StandError when it fails."""
        return await run_well(*self._command, *argv, environment=self._environment)

    async def compose(self, folder: Path, *argv: str, variables: Mapping[str, str]) -> str:
        """Return the output of a command of podman-compose in a folder. Raises StandError when it fails."""
        environment = {**self._environment, **variables}
        command = (str(_COMPOSE), "--podman-path", str(self._program))
        return await run_well(*command, *argv, folder=folder, environment=environment)

    def end_name_server(self) -> None:
        """End it, so that the next container starts another one."""
        os.kill(int(_NAME_SERVER.read_text()), signal.SIGKILL)

    async def remove_all(self) -> None:
        """Remove all pods, containers, volumes and networks."""
        await self.run("pod", "rm", "--all", "--force", "--time", "0")
        await self.run("rm", "--all", "--force", "--time", "0")
        await self.run("volume", "prune", "--force")
        await self.run("network", "prune", "--force")
