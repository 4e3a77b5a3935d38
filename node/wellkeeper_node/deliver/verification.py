"""Verify what nginx serves, where its configuration names the certificate or where the settings say."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from wellkeeper_node.deliver.addresses import Plan, at_configured, find_naming, plan
from wellkeeper_node.deliver.verify import verify
from wellkeeper_node.errors import ReloadError, VerifyError
from wellkeeper_node.model import Installed, Server, Verified
from wellkeeper_node.ports import Certificates, Clock, Nginx, Probes

_Address = tuple[str, int]

# `nginx -T` takes 10 s with 10 000 server blocks: the certificates of one pass share it.
_SERVERS_SECONDS: Final = 10.0


@dataclass
class _Servers:
    """The server blocks of nginx, read once for many certificates."""

    nginx: Nginx
    clock: Clock
    _read_at: float = -math.inf
    _found: Sequence[Server] | ReloadError = ()
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self) -> Sequence[Server] | ReloadError:
        async with self._lock:
            if self.clock.monotonic() - self._read_at > _SERVERS_SECONDS:
                try:
                    self._found = await self.nginx.servers()
                except ReloadError as error:
                    self._found = error
                self._read_at = self.clock.monotonic()
            return self._found

    def forget(self) -> None:
        self._read_at = -math.inf


class Verification:
    """The handshakes with this host's nginx; `https_addresses` are those of its settings. Changes nothing."""

    def __init__(
        self,
        nginx: Nginx,
        probes: Probes,
        certificates: Certificates,
        https_addresses: Sequence[_Address],
        clock: Clock,
    ) -> None:
        self._probes = probes
        self._certificates = certificates
        self._https_addresses = https_addresses
        self._servers = _Servers(nginx, clock)

    def forget(self) -> None:
        """Read nginx's configuration again for the next certificate."""
        self._servers.forget()

    async def verify(self, lineage: str, https_addresses: Sequence[_Address] | None = None) -> Verified:
        """Return what nginx serves. Raises VerifyError, InstallError, and ReloadError for an unreadable configuration.

        `https_addresses` are where the settings say that it is served, None for wherever the configuration says.
        """
        live_path = self._certificates.live_path(lineage)
        installed = await self._certificates.installed(lineage)
        if installed is None:
            raise VerifyError(
                f"cannot verify the certificate of {lineage}",
                f"{live_path} no longer holds a usable certificate",
                f"Run 'wellkeeper renew {lineage}' to obtain one.",
            )
        servers = await self._needed(installed, https_addresses)
        wanted = self._plan(installed, () if isinstance(servers, ReloadError) else servers, https_addresses)
        served = await verify(installed, wanted, live_path, self._probes, self._certificates.versions)
        if not served.is_served and isinstance(servers, ReloadError):
            raise servers  # whether the configuration names it is unknown
        return Verified(installed.certificate, served)

    async def plan(self, installed: Installed, https_addresses: Sequence[_Address] | None = None) -> Plan:
        """Return the handshakes that `verify` makes. Raises ReloadError for an unreadable configuration."""
        servers = await self._needed(installed, https_addresses)
        if isinstance(servers, ReloadError):
            raise servers
        return self._plan(installed, servers, https_addresses)

    async def _needed(
        self, installed: Installed, https_addresses: Sequence[_Address] | None
    ) -> Sequence[Server] | ReloadError:
        """Return the server blocks; with addresses in the settings, only for names below a wildcard, if readable."""
        if https_addresses is None:
            return await self._servers.read()
        has_wildcard = any(one.is_wildcard for one in installed.certificate.identifiers)
        found = await self._servers.read() if https_addresses and has_wildcard else ()
        return () if isinstance(found, ReloadError) else found

    def _plan(
        self, installed: Installed, servers: Sequence[Server], https_addresses: Sequence[_Address] | None
    ) -> Plan:
        identifiers = installed.certificate.identifiers
        # Resolved once, and not for each of perhaps thousands of server blocks.
        own = self._certificates.own_prefixes(installed.lineage)
        if https_addresses is not None:
            return at_configured(identifiers, https_addresses, find_naming(servers, lambda path: path.startswith(own)))
        return plan(identifiers, servers, lambda path: path.startswith(own), self._https_addresses)
