"""The example for Kubernetes, run by podman with images and the CA of the test."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any, Final, Self

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
    """The pod of the example, as `podman kube play` makes it."""

    def __init__(self, podman: Podman, folder: Path, ca: Pebble) -> None:
        self.file = folder / "pod.yaml"
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._podman.remove_all()

    async def configuration(self) -> Path:
        """Return the volume that podman made of the ConfigMap `site`."""
        return Path((await self._podman.run("volume", "inspect", "--format", "{{.Mountpoint}}", "site")).strip())

    async def up(self) -> None:
        await self._podman.run("kube", "play", str(self.file))

    async def upgrade(self) -> None:
        for image in _IMAGES.values():
            await self._podman.run("tag", image, image.replace(":latest", ":next"))
        self.file.write_text(self.file.read_text().replace(":latest\n", ":next\n"))
        await self._podman.run("kube", "down", str(self.file))
        await self.up()

    async def exec(self, service: str, *argv: str) -> str:
        try:
            return await self._podman.run("exec", f"web-{service}", *argv)
        except StandError as error:
            raise StandError(f"{error}\n{await self.log()}") from error

    async def restart(self, *services: str) -> None:
        for service in services:
            await self._podman.run("restart", "--time", "5", f"web-{service}")

    async def crash(self, service: str) -> None:
        os.kill((await self.state(service))["State"]["Pid"], signal.SIGKILL)

    async def state(self, service: str) -> Any:  # noqa: ANN401 - whatever podman tells
        (found,) = json.loads(await self._podman.run("inspect", f"web-{service}"))
        return found

    async def is_alive(self, container: str) -> bool:
        """Run the liveness probe of a container once; return true if it passes."""
        return (await self._podman.try_run("healthcheck", "run", f"web-{container}")).exit_code == 0

    async def children(self, container: str) -> list[int]:
        """Return the child processes of the first process of a container."""
        pid = (await self.state(container))["State"]["Pid"]
        children = await asyncio.to_thread(Path(f"/proc/{pid}/task/{pid}/children").read_text)
        return list(map(int, children.split()))

    async def log(self) -> str:
        names = ("web-responder", "web-nginx", "web-issuer")
        logs = [await self._podman.try_run("logs", "--tail", "40", name) for name in names]
        return await self._podman.run("ps", "--all") + "".join(f"{one.out}{one.err}" for one in logs)
