"""certbot with its own nginx, as its users set them up: a webroot, and a deploy hook that reloads nginx."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stand.host import Host
from stand.nginx import SNIPPETS, Address, NginxServer, NginxSettings
from stand.ports import free_port
from stand.processes import PROJECT, find_program, search_path

# Pebble fetches tokens from one port of whatever address a name has: a second nginx needs a second address.
_ADDRESS: Final = "127.0.0.2"
LINEAGE: Final = "bench"
_FOLDERS: Final = {"config": "etc", "work": "work", "logs": "logs"}


def find_certbot() -> str:
    """Return the certbot of scripts/install, or else the one in PATH."""
    return find_program("certbot", PROJECT / ".cache/certbot/bin")


@dataclass(frozen=True, slots=True)
class Certbot:
    """certbot and its nginx. The stand's own server block, with another challenge location, listens on `unused`."""

    folder: Path
    host: Host
    nginx: NginxServer
    name: str
    https: Address
    unused: Address
    lineage: str = LINEAGE

    @property
    def fullchain(self) -> Path:
        return self.folder / f"etc/live/{self.lineage}/fullchain.pem"

    def argv(self) -> list[str]:
        """Obtain a new certificate, with a key of the same type as the issuer's."""
        hook = shlex.join([*self.nginx.argv(), "-s", "reload"])
        return [
            *(find_certbot(), "certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email"),
            *(
                f"--server={self.host.directory_url}",
                *self.folders(),
                f"--cert-name={self.lineage}",
                f"--domain={self.name}",
            ),
            *("--webroot", f"--webroot-path={self.folder}/webroot", "--force-renewal", f"--deploy-hook={hook}"),
            *("--key-type=ecdsa", "--elliptic-curve=secp256r1", "--preferred-profile=default"),
        ]

    def folders(self) -> list[str]:
        return [f"--{kind}-dir={self.folder}/{name}" for kind, name in _FOLDERS.items()]

    def environment(self) -> dict[str, str]:
        return {"PATH": search_path(), "LC_ALL": "C.UTF-8", "REQUESTS_CA_BUNDLE": str(self.host.ca.ca_bundle)}

    async def start(self) -> asyncio.subprocess.Process:
        """Start certbot, and let the caller wait for it."""
        return await asyncio.create_subprocess_exec(
            *self.argv(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environment(),
            start_new_session=True,
        )


@asynccontextmanager
async def running_certbot(folder: Path, host: Host, name: str) -> AsyncIterator[Certbot]:
    """Run nginx without TLS; call `serve` after the first certificate."""
    (folder / "webroot").mkdir(parents=True)
    await host.dns.set_addresses(name, _ADDRESS)
    unused = (_ADDRESS, free_port())
    settings = _settings(folder, host, unused, tls="")
    async with NginxServer(folder / "nginx", settings, "certbot's nginx") as nginx:
        yield Certbot(folder, host, nginx, name, (_ADDRESS, free_port()), unused)


def serve(certbot: Certbot) -> None:
    """Make nginx serve the certificate, with the same TLS settings as the issuer's nginx."""
    host, port = certbot.https
    tls = f"""
    server {{
        listen {host}:{port} ssl;
        server_name {certbot.name};
        ssl_certificate {certbot.fullchain};
        ssl_certificate_key {certbot.fullchain.with_name("privkey.pem")};
        include {SNIPPETS}/tls.conf;
        location / {{ return 200 "hello\\n"; }}
    }}"""
    certbot.nginx.write(_settings(certbot.folder, certbot.host, certbot.unused, tls))
    certbot.nginx.reload()


def _settings(folder: Path, host: Host, unused: Address, tls: str) -> NginxSettings:
    """Return settings in which the stand's own server block listens on an unused port."""
    servers = f"""
    server {{
        listen {_ADDRESS}:{host.http[1]};
        server_name _;
        location /.well-known/acme-challenge/ {{ root {folder}/webroot; }}
    }}{tls}"""
    return NginxSettings(host.responder.public_socket, (unused,), in_http=servers)
