"""The example for Kubernetes, run by podman with images and the CA of the test."""

import json
import os
import signal
from pathlib import Path
from typing import Any, Final

from stand.pebble import Pebble
from stand.podman import Podman
from stand.processes import PROJECT, StandError

EXAMPLE: Final = PROJECT / "examples/pod/pod.yaml"
_IMAGES: Final = {
    "nginxinc/nginx-unprivileged:stable": "localhost/nginx-unprivileged:latest",
    "registry.example.org/wellkeeper-issuer:latest": "localhost/wellkeeper-issuer:latest",
    "registry.example.org/wellkeeper-responder:latest": "localhost/wellkeeper-responder:latest",
}
_NOT_AGREED: Final = "terms_of_service_agreed = false"


class Pod:
    """The pod of the example, as `podman kube play` makes it. Other settings may be written between `down` and `up`."""

    def __init__(self, podman: Podman, folder: Path, ca: Pebble) -> None:
        self.file = folder / "pod.yaml"
        self.images = tuple(_IMAGES.values())
        self._podman = podman
        text = EXAMPLE.read_text()
        for name, image in _IMAGES.items():
            text = text.replace(f"image: {name}\n", f"image: {image}\n")
        bundle = "".join(f"    {line}\n" for line in ca.ca_bundle.read_text().splitlines())
        text = text.replace("  issuer.toml: |\n", f"  ca.pem: |\n{bundle}  issuer.toml: |\n", 1)
        text = text.replace(
            'ca = "letsencrypt"', f'ca = "{ca.directory_url}"\n    ca_bundle = "/etc/wellkeeper/ca.pem"'
        )
        self.file.write_text(text.replace(_NOT_AGREED, _NOT_AGREED.replace("false", "true")))

    async def up(self) -> None:
        await self._podman.run("kube", "play", str(self.file))

    async def down(self) -> None:
        """Remove the pod; its claimed volumes stay."""
        await self._podman.run("kube", "down", str(self.file))

    async def exec(self, container: str, *argv: str) -> str:
        """Return the output of a command in a container. Raises StandError with the log when it fails."""
        try:
            return await self._podman.run("exec", f"web-{container}", *argv)
        except StandError as error:
            raise StandError(f"{error}\n{await self.log()}") from error

    async def restart(self, *containers: str) -> None:
        """Restart containers, one after another."""
        for container in containers:
            await self._podman.run("restart", "--time", "5", f"web-{container}")

    async def crash(self, container: str) -> None:
        """Kill the first process of a container; podman applies the pod's restart policy."""
        os.kill((await self.state(container))["State"]["Pid"], signal.SIGKILL)

    async def state(self, container: str) -> Any:  # noqa: ANN401 - whatever podman tells
        """Return what podman tells about a container."""
        (found,) = json.loads(await self._podman.run("inspect", f"web-{container}"))
        return found

    async def config_map(self, name: str) -> Path:
        """Return the directory with the files of a ConfigMap, as containers see them."""
        return Path((await self._podman.run("volume", "inspect", "--format", "{{.Mountpoint}}", name)).strip())

    async def is_healthy(self) -> bool:
        """Return true if the daemon answers."""
        try:
            await self._podman.run("exec", "web-issuer", "wellkeeper", "--check-health")
        except StandError:
            return False
        return True

    async def log(self) -> str:
        """Return the state and the log of all containers."""
        names = ("web-responder", "web-nginx", "web-issuer")
        logs = [await self._podman.try_run("logs", "--tail", "40", name) for name in names]
        return await self._podman.run("ps", "--all") + "".join(f"{one.out}{one.err}" for one in logs)
