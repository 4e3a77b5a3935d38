"""The example for podman and systemd, on a booted Debian 13 with images and the CA of the test."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

from stand.machine import Machine, folder_in_memory
from stand.pebble import Pebble
from stand.processes import PROJECT, StandError

EXAMPLE: Final = PROJECT / "examples/quadlet"
_CACHE: Final = PROJECT / ".cache"
_UNITS: Final = "/etc/containers/systemd"
_NGINX: Final = ("docker.io/nginxinc/nginx-unprivileged:stable", "localhost/nginx-unprivileged:latest")
_NAMES: Final = {"nginx": "nginx", "issuer": "wellkeeper-issuer", "responder": "wellkeeper-responder"}
_NOT_AGREED: Final = "#WELLKEEPER_AGREE"
# podman reads the images of the stand where they are, and limits no number of processes where the kernel cannot.
_STORAGE: Final = """[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
[storage.options]
additionalimagestores = ["/images"]
"""
_CONTAINERS: Final = """[containers]
default_ulimits = []
pids_limit = 0
"""
_TRUSTING: Final = """[Container]
Environment=SSL_CERT_FILE=/etc/ssl/test-ca.pem
Volume=/etc/test-ca.pem:/etc/ssl/test-ca.pem:ro
"""
_OPTIONS: Final = (
    f"--bind-ro={_CACHE}/containers/storage:/images",
    # What runs here again is a container: the kernel must accept its programs for devices.
    *("--tmpfs=/var/lib/containers", "--system-call-filter=bpf @keyring"),
)


class Quadlet:
    """The units of the example in a machine of their own, which ends with the context."""

    def __init__(self, ca: Pebble) -> None:
        self._ca = ca
        self._stack = AsyncExitStack()
        self._machine: Machine

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(folder_in_memory())
            trees = (_CACHE / "podman-trixie", _CACHE / "machine-trixie")
            self._machine = await stack.enter_async_context(Machine(folder, *trees, options=_OPTIONS))
            stack.push_async_callback(self._clean_up)
            await self._set_up()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _set_up(self) -> None:
        machine = self._machine
        await machine.shell("""
            systemctl disable --now nginx # Debian's, which has the ports
            mount --bind /proc/sys/net /proc/sys/net # systemd-nspawn makes it read-only
            mount -o remount,bind,rw /proc/sys/net""")
        await machine.write("/etc/containers/storage.conf", _STORAGE)
        await machine.write("/etc/containers/containers.conf", _CONTAINERS)
        await machine.write("/etc/test-ca.pem", self._ca.ca_bundle.read_text())
        await machine.write(f"{_UNITS}/wellkeeper-issuer.container.d/ca.conf", _TRUSTING)
        for path in (path for path in EXAMPLE.rglob("*") if path.is_file()):
            text = path.read_text().replace(*_NGINX).replace(_NOT_AGREED, _NOT_AGREED.lstrip("#"))
            text = text.replace("CA=letsencrypt\n", f"CA={self._ca.directory_url}\n")
            await machine.write(f"{_UNITS}/{path.relative_to(EXAMPLE)}", text)

    async def _clean_up(self) -> None:
        """Remove what outlives the machine: bridge and packet rules in the network of the test process."""
        await self._machine.run("systemctl", "stop", *_NAMES.values())
        await self._machine.run("podman", "network", "rm", "--force", "wellkeeper")

    async def configuration(self) -> Path:
        return self._machine.root / _UNITS.lstrip("/") / "conf.d"

    async def up(self) -> None:
        await self._explained("systemctl", "daemon-reload")
        await self._explained("systemctl", "start", *_NAMES.values())

    async def upgrade(self) -> None:
        await self._machine.shell(f"""
            for name in nginx-unprivileged wellkeeper-issuer wellkeeper-responder; do
                podman tag localhost/$name:latest localhost/$name:next
            done
            sed -i 's/:latest$/:next/' {_UNITS}/*.container
            systemctl daemon-reload""")
        await self._explained("systemctl", "restart", "wellkeeper-prepare", "nginx")

    async def exec(self, service: str, *argv: str) -> str:
        return await self._explained("podman", "exec", _NAMES[service], *argv)

    async def restart(self, *services: str) -> None:
        for service in services:
            await self._explained("systemctl", "reset-failed", _NAMES[service])  # its starts are not counted
            await self._explained("systemctl", "restart", _NAMES[service])

    async def crash(self, service: str) -> None:
        pid = (await self.state(service))["State"]["Pid"]
        await self._machine.run_well("kill", "-KILL", str(pid))

    async def state(self, service: str) -> Any:  # noqa: ANN401 - whatever podman tells
        (found,) = json.loads(await self._machine.run_well("podman", "inspect", _NAMES[service]))
        return found

    async def _explained(self, *argv: str) -> str:
        """Run a command in the machine; if it fails, StandError has the log."""
        try:
            return await self._machine.run_well(*argv)
        except StandError as error:
            raise StandError(f"{error}\n{await self.log()}") from error

    async def log(self) -> str:
        units = [f"--unit={name}" for name in ("wellkeeper-prepare", *_NAMES.values())]
        finished = await self._machine.run("journalctl", "--no-pager", "--lines=120", *units)
        return (await self._machine.run("podman", "ps", "--all")).out + finished.out
