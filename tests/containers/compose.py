"""An example for Compose, as an administrator uses it, with images and the CA of the test."""

import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from stand.engine import Engine
from stand.pebble import Pebble
from stand.podman import Podman
from stand.processes import PROJECT, StandError

IMAGES: Final = {
    "NGINX_IMAGE": "localhost/nginx-unprivileged",
    **{
        f"WELLKEEPER_{name.upper()}_IMAGE": f"localhost/wellkeeper-{name}"
        for name in ("issuer", "node", "relay", "responder")
    },
}
_PROJECT: Final = "com.docker.compose.project"
_SERVICE: Final = "com.docker.compose.service"
_BUNDLE: Final = "/etc/ssl/test-ca.pem"


class Project:
    """A copy of an example below examples/. Leaving the context removes all of it."""

    def __init__(self, engine: Engine, folder: Path, example: str, name: str = "") -> None:
        self.folder = folder / (name or example.replace("/", "-"))
        self.images = dict(IMAGES)
        self._engine = engine
        shutil.copytree(PROJECT / "examples" / example, self.folder)

    async def configuration(self) -> Path:
        return self.folder / "conf.d"

    def use_ca(self, ca: Pebble, *services: str) -> None:
        """Write an override: these services trust the CA's own server, and all ask this CA."""
        environment = {"WELLKEEPER_CA": ca.directory_url, "WELLKEEPER_AGREE_TO_TERMS_OF_SERVICE": "true"}
        self.override({"prepare": {"environment": environment}, **dict.fromkeys(services, _trusting(ca))})

    def use_ca_in_file(self, ca: Pebble, settings: str, *services: str) -> None:
        """Name the CA in the settings, and write an override: these services trust the CA's own server."""
        self.change(settings, '"letsencrypt"', json.dumps(ca.directory_url))
        self.change(settings, "terms_of_service_agreed = false", "terms_of_service_agreed = true")
        self.override(dict.fromkeys(services, _trusting(ca)))

    def change(self, file: str, before: str, after: str) -> None:
        """Replace what a file of the example has once."""
        path = self.folder / file
        parts = path.read_text().split(before)
        assert len(parts) == 2, (file, before)
        path.write_text(after.join(parts))

    def override(self, services: Mapping[str, Any]) -> None:
        """Write compose.override.yaml; JSON is YAML."""
        (self.folder / "compose.override.yaml").write_text(json.dumps({"services": services}))

    async def upgrade(self) -> None:
        for variable, image in IMAGES.items():
            await self._engine.run("tag", image, f"{image}:next")
            self.images[variable] = f"{image}:next"
        await self.up()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.run("down", "--volumes", "--timeout", "0")
        finally:
            shutil.rmtree(self.folder)

    async def run(self, *argv: str) -> str:
        """Return the output of a command of Compose. Raises StandError when it fails."""
        return await self._engine.compose(self.folder, *argv, variables=self.images)

    async def up(self) -> None:
        if isinstance(self._engine, Podman):
            # A container that requires `prepare`, which has ended, would not be started again after a crash.
            await self._explained("run", "--rm", "-T", "prepare")
            await self._explained("up", "--detach", "--no-deps")
        else:
            await self._explained("up", "--detach", "--quiet-pull")

    async def exec(self, service: str, *argv: str) -> str:
        """Return the output of a command in a container."""
        return await self._explained("exec", "-T", service, *argv)

    async def _explained(self, *argv: str) -> str:
        """Run a command of Compose; if it fails, StandError has the log of all containers."""
        try:
            return await self.run(*argv)
        except StandError as error:
            raise StandError(f"{error}\n{await self.log()}") from error

    async def log(self) -> str:
        containers = await self._engine.run("ps", "--all", f"--filter=label={_PROJECT}={self.folder.name}")
        return containers + await self.run("logs", "--no-color", "--timestamps", "--tail", "40")

    async def state(self, service: str) -> Any:  # noqa: ANN401 - whatever the engine tells
        (found,) = json.loads(await self._engine.run("inspect", await self._container(service)))
        return found

    async def restart(self, *services: str) -> None:
        for service in services:
            await self._engine.run("restart", "--time", "5", await self._container(service))

    async def finds(self, service: str, name: str) -> bool:
        """Return whether the name of another service resolves in this one."""
        try:
            await self.run("exec", "-T", service, "timeout", "10", "getent", "hosts", name)
        except StandError:
            return False
        return True

    async def restart_until_it_finds(self, client: str, service: str) -> None:
        """Restart a service until it finds another one.

        podman 4.3: a bridge takes another MAC address when a container starts; others go on with the former one.
        """
        while not await self.finds(client, service):
            if isinstance(self._engine, Podman):
                self._engine.end_name_server()
            await self.restart(client)

    async def crash(self, service: str) -> None:
        os.kill((await self.state(service))["State"]["Pid"], signal.SIGKILL)

    async def _container(self, service: str) -> str:
        labels = {_PROJECT: self.folder.name, _SERVICE: service}
        filters = [f"--filter=label={name}={value}" for name, value in labels.items()]
        return (await self._engine.run("ps", "--all", "--quiet", *filters)).strip()


def _trusting(ca: Pebble) -> dict[str, Any]:
    return {"environment": {"SSL_CERT_FILE": _BUNDLE}, "volumes": [f"{ca.ca_bundle}:{_BUNDLE}:ro"]}
