"""A booted machine with our package and one name, set up as an administrator does it."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from stand.fault_proxy import FaultProxy
from stand.machine import Machine
from stand.pebble import Pebble
from stand.processes import StandError
from tests.served_serial import served_serial

NAME: Final = "www.example.org"
LIVE: Final = f"/var/lib/wellkeeper/certificates/live/{NAME}"
SETTINGS: Final = "/etc/wellkeeper/issuer.toml"
DAEMON: Final = "wellkeeper.service"
RESPONDER: Final = "wellkeeper-responder.service"
SITE: Final = "/etc/nginx/sites-enabled/www"
CA_BUNDLE: Final = "/etc/ssl/certs/test-ca.pem"
# A busy machine can be far slower than an idle one, which takes some seconds.
_LONGEST_SECONDS: Final = 240.0

# An application beside Debian's default site.
_START_APPLICATION: Final = "systemd-run --quiet python3 -m http.server --bind 127.0.0.1 --directory /srv 8080"
_APPLICATION: Final = f"""server {{
    listen 80;
    server_name {NAME} example.org;
    location / {{ proxy_pass http://127.0.0.1:8080; }}
}}
"""


def server_blocks(*names: str) -> str:
    """Return nginx's blocks for a site whose certificate is that of NAME."""
    return f"""
server {{
    listen 80;
    server_name {" ".join(names)};
    include snippets/wellkeeper/challenge.conf;
    location / {{ return 301 https://$host$request_uri; }}
}}
server {{
    listen 443 ssl;
    server_name {" ".join(names)};
    include snippets/wellkeeper/tls.conf;
    ssl_certificate {LIVE}/fullchain.pem;
    ssl_certificate_key {LIVE}/privkey.pem;
}}
"""


async def start_application(machine: Machine) -> None:
    """Start an application, and nginx's site for it, which listens on port 80."""
    await machine.write("/etc/nginx/sites-available/app", _APPLICATION)
    await machine.shell(_START_APPLICATION)
    await machine.shell("ln -s ../sites-available/app /etc/nginx/sites-enabled/app; systemctl reload nginx")


async def install(machine: Machine, package: Path) -> str:
    """Install a package with apt, and return apt's output."""
    target = f"/var/tmp/{package.name}"
    await machine.write_bytes(target, await asyncio.to_thread(package.read_bytes))
    return await machine.run_well("apt-get", "install", "--yes", "--quiet", target)


class Server:
    """The steps of an administrator, and what they see."""

    def __init__(
        self, machine: Machine, ca: Pebble, proxy: FaultProxy | None = None, address: str = "127.0.0.1"
    ) -> None:
        self.machine = machine
        self.address = address
        self._ca = ca
        self._asked = proxy or ca

    async def set_up(self) -> None:
        """Write the settings and nginx's configuration, and start the responder and nginx."""
        machine = self.machine
        await self.trust_ca()
        await self.write_settings()
        await machine.shell(f"wellkeeper init && systemctl enable --now {RESPONDER} && wellkeeper placeholder")
        await machine.write(SITE, server_blocks(NAME))
        await machine.shell("nginx -t && systemctl reload nginx")

    async def trust_ca(self) -> None:
        """Write the root certificate of the CA's own server."""
        await self.machine.write(CA_BUNDLE, self._asked.ca_bundle.read_text())

    @property
    def directory_url(self) -> str:
        return self._asked.directory_url

    @property
    def ca_options(self) -> str:
        """Return the options of init and setup for this CA."""
        return f"--ca {self.directory_url} --ca-bundle {CA_BUNDLE} --agree-to-terms-of-service"

    async def write_settings(self, *more: str) -> None:
        lines = (
            f"ca = {json.dumps(self._asked.directory_url)}",
            f"ca_bundle = {json.dumps(CA_BUNDLE)}",
            "terms_of_service_agreed = true",
            *more,
            f"[[certificates]]\nname = {json.dumps(NAME)}\nidentifiers = [{json.dumps(NAME)}]",
        )
        await self.machine.write(SETTINGS, "\n".join(lines) + "\n")

    async def start_daemon(self) -> None:
        """Enable and start the daemon, which obtains the first certificate; returns when it is served."""
        await self.machine.run_well("systemctl", "enable", "--now", DAEMON)
        await self.until_served()

    async def until_served(self, *, other_than: str = "") -> str:
        """Return the served serial number once it is of the CA and another one."""
        async with asyncio.timeout(_LONGEST_SECONDS):
            while (serial := await self.served()) in {None, other_than}:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        return str(serial)

    async def served(self, name: str = NAME) -> str | None:
        """Return the serial number of the certificate that nginx serves; None if it is late, or not of the CA."""
        return await served_serial((self.address, 443), await self.issuing_root(), name)

    async def issuing_root(self) -> bytes:
        """Return the root of the CA's certificates."""
        return await self._ca.issuing_root()

    async def status(self) -> Any:  # noqa: ANN401 - whatever the command printed
        return json.loads(await self.machine.run_well("wellkeeper", "status", "--json"))

    async def show(self, unit: str, key: str) -> str:
        """Return one property of a unit."""
        return (await self.machine.run_well("systemctl", "show", "--value", "--property", key, unit)).strip()

    async def is_active(self, unit: str) -> bool:
        return (await self.machine.run("systemctl", "is-active", "--quiet", unit)).exit_code == 0

    async def until(self, command: str) -> None:
        """Return when a shell command in the machine succeeds. Raises StandError when it never does."""
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                while (await self.machine.run("sh", "-c", command)).exit_code != 0:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            log = await self.machine.run("journalctl", "--no-pager", "--lines", "40")
            raise StandError(f"{command!r} never succeeded\n{log}") from error
