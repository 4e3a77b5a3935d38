"""A real ACME server: Pebble, strict, with a new certificate for its own address.

Traps: with two profiles, an order without a profile gets one at random; every token is fetched three times; one valid
authorization in a hundred is reused even at 0 percent; with 32 parallel clients Pebble 2.10 can hang (never with 8).
"""

import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from stand.certificates import make_server_certificate
from stand.ports import free_port
from stand.processes import PROJECT, Process, Running, StandError, accepts, find_program

_DAY_SECONDS: Final = 86_400
PROFILES: Final = {"default": 90 * _DAY_SECONDS, "short": 6 * _DAY_SECONDS}


# Where scripts/install unpacked the newest, and the oldest that Debian still has: without profiles and renewal info.
NEWEST: Final = PROJECT / ".cache/pebble/usr/bin"
OLDEST: Final = PROJECT / ".cache/pebble-2.4/usr/bin"


def find_pebble_program(name: str, folder: Path = NEWEST) -> str:
    """From the folder, else from PATH."""
    return find_program(name, folder)


@dataclass(frozen=True, slots=True)
class PebbleSettings:
    """The options of Pebble. `dns_server` is `host:port`; tokens are fetched from `http_port` of its addresses.

    The profiles have lifetimes in seconds. The percentages of rejected nonces and of reused authorizations let clients
    meet both. With external accounts (HMAC keys in base64url by key identifier), no other client can register. It
    listens at `address`.
    """

    dns_server: str
    http_port: int
    profiles: dict[str, int] = field(default_factory=lambda: dict(PROFILES))
    nonces_rejected_percent: int = 5
    authorizations_reused_percent: int = 0
    retry_after_seconds: int = 1
    external_accounts: dict[str, str] = field(default_factory=dict)
    blocked_domains: tuple[str, ...] = ("blocked-domain.example",)
    environment: dict[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    programs: Path = NEWEST


class Pebble(Running):
    """`async with Pebble(folder, settings) as ca`. All that it knows is gone when it ends."""

    def __init__(self, folder: Path, settings: PebbleSettings) -> None:
        self._settings = settings
        self._port = free_port()
        self._management_port = free_port()
        self._certificate = make_server_certificate(folder, ("localhost", settings.address))
        self._host = "localhost" if settings.address == "127.0.0.1" else settings.address
        config = folder / "pebble.json"
        config.write_text(json.dumps({"pebble": self._config()}, indent=2))
        program = find_pebble_program("pebble", settings.programs)
        argv = [program, "-strict", "-config", str(config), "-dnsserver", settings.dns_server]
        self.process = Process("pebble", argv, folder / "pebble.log", self._environment())

    @property
    def directory_url(self) -> str:
        return f"https://{self._host}:{self._port}/dir"

    @property
    def management_url(self) -> str:
        return f"https://{self._host}:{self._management_port}"

    @property
    def ca_bundle(self) -> Path:
        """Return the file to verify Pebble's own TLS certificate with; it is not the root of issued certificates."""
        return self._certificate.ca_bundle

    async def issuing_root(self, number: int = 0) -> bytes:
        """Return the root of issued certificates, PEM; PEBBLE_ALTERNATE_ROOTS adds others."""
        return await self._get(f"{self.management_url}/roots/{number}")

    async def restart(self) -> None:
        """Restart Pebble at the same address, without its data: accounts, orders, roots."""
        await self.process.stop()
        await self.process.start(self.is_ready)

    async def status_of(self, serial: str) -> dict[str, Any]:
        """Return the status of a certificate: `Status` is `Valid` or `Revoked`, with a `Reason`."""
        found: dict[str, Any] = json.loads(await self._get(f"{self.management_url}/cert-status-by-serial/{serial}"))
        return found

    async def set_renewal_info(self, certificate_pem: str, response: dict[str, Any]) -> None:
        """Set the renewal info (RFC 9773) of one certificate."""
        body = {"Certificate": certificate_pem, "ARIResponse": json.dumps(response)}
        url = f"{self.management_url}/set-renewal-info/"
        async with self._session() as session, session.post(url, json=body) as reply:
            reply.raise_for_status()

    async def is_ready(self) -> bool:
        ports = (self._port, self._management_port)
        if not all([await accepts(self._settings.address, port) for port in ports]):
            return False
        directory = json.loads(await self._get(self.directory_url))
        if self._settings.programs == NEWEST and "profiles" not in directory["meta"]:
            raise StandError(f"{self.process.argv[0]} is older than 2.8 (it has no profiles); run scripts/install")
        return True

    async def _get(self, url: str) -> bytes:
        async with self._session() as session, session.get(url) as reply:
            reply.raise_for_status()
            return await reply.read()

    def _session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=self.ca_bundle)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    def _config(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "listenAddress": f"{settings.address}:{self._port}",
            "managementListenAddress": f"{settings.address}:{self._management_port}",
            "certificate": str(self._certificate.certificate),
            "privateKey": str(self._certificate.certificate_key),
            "httpPort": settings.http_port,
            # Of no use here: tls-alpn-01 is never answered.
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(settings.external_accounts),
            "externalAccountMACKeys": settings.external_accounts,
            "caaIdentities": ["pebble.example"],
            "domainBlocklist": list(settings.blocked_domains),
            "retryAfter": {"authz": settings.retry_after_seconds, "order": settings.retry_after_seconds},
            "profiles": {
                name: {"description": f"{seconds} seconds", "validityPeriod": seconds}
                for name, seconds in settings.profiles.items()
            },
        }

    def _environment(self) -> dict[str, str]:
        return {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": str(self._settings.nonces_rejected_percent),
            "PEBBLE_AUTHZREUSE": str(self._settings.authorizations_reused_percent),
            **self._settings.environment,
        }
