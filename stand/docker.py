"""A Docker engine with its own storage, socket and network: those of the machine stay as they are.

Call `enter_namespaces` first: the engine makes bridges in the network of the calling process, and no rules for packets.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from stand.commands import run, run_well
from stand.processes import PROJECT, Process, Running, find_program

_PLUGIN: Final = PROJECT / ".cache/docker-compose/usr/libexec/docker/cli-plugins/docker-compose"
_STORAGE: Final = PROJECT / ".cache/containers/docker"
# What stand/images/build.sh saved.
_IMAGES: Final = PROJECT / ".cache/containers/images.tar"
_OFF: Final = ("--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false")


class Docker(Running):
    """`async with Docker(folder) as docker`: an engine that has the images of the stand.

    Only one at a time can run, because its storage is kept. Leaving removes all from it but the images.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._client = find_program("docker")
        argv = [
            find_program("dockerd"),
            *(
                "--data-root",
                str(_STORAGE),
                "--exec-root",
                f"{folder}/docker",
                "--pidfile",
                f"{folder}/docker.pid",
            ),
            *("--host", self._host, "--storage-driver", "overlay2", *_OFF),
        ]
        plugins = folder / "docker-client" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(_PLUGIN)
        self.process = Process("dockerd", argv, folder / "dockerd.log")

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of Docker's clients."""
        return {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": self._host,
            "DOCKER_CONFIG": f"{self._folder}/docker-client",
        }

    async def run(self, *argv: str) -> str:
        """Return the output of a command of Docker. Raises StandError when it fails."""
        return await run_well(self._client, *argv, environment=self.environment)

    async def compose(self, folder: Path, *argv: str, variables: Mapping[str, str]) -> str:
        """Return the output of a command of Compose in a folder. Raises StandError when it fails."""
        environment = {**self.environment, **variables}
        return await run_well(self._client, "compose", *argv, folder=folder, environment=environment)

    async def is_ready(self) -> bool:
        finished = await run(self._client, "version", environment=self.environment)
        return finished.exit_code == 0

    @property
    def _host(self) -> str:
        return f"unix://{self._folder}/docker.sock"

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            await self._remove_all()  # of a process that was killed
            await self._load()
        except BaseException:
            await self.process.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._remove_all()
        finally:
            await self.process.stop()

    async def _remove_all(self) -> None:
        if containers := (await self.run("ps", "--all", "--quiet")).split():
            await self.run("rm", "--force", *containers)
        await self.run("volume", "prune", "--force")
        await self.run("network", "prune", "--force")

    async def _load(self) -> None:
        """Load the images, unless that was done since they were built."""
        loaded = _STORAGE / "loaded"
        built = str(_IMAGES.stat().st_mtime_ns)
        if not loaded.exists() or loaded.read_text() != built:
            await self.run("load", "--quiet", "--input", str(_IMAGES))
            loaded.write_text(built)
