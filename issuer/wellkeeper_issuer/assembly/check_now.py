"""Verify what is live right now, for `status --check` and rehearsals: what was recorded may no longer be true."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.records import Check
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.upkeep.proving import prove
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.deliver.addresses import Plan
from wellkeeper_node.errors import InstallError, VerifyError, WellkeeperError
from wellkeeper_node.model import Installed, Served

_AT_ONCE: Final = 8


class ServedNow:
    """Looks at what nginx serves, as a renewal does, and changes nothing."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError."""
        from wellkeeper_node.deliver.verification import Verification
        from wellkeeper_node.probes.probes import NodeProbes

        self._settings, self._clock = settings, SystemClock()
        self._folders, addresses = build.certificates(settings), settings.nginx.https_addresses
        probes = NodeProbes(speaks_proxy_protocol=settings.nginx.proxy_protocol)
        self._verification = Verification(build.nginx(settings), probes, self._folders, addresses, self._clock)

    async def failures(self, lineages: Sequence[Lineage]) -> Mapping[str, WellkeeperError]:
        """Return what is wrong by lineage: files that cannot be used, or a certificate that is not served."""
        checks, slots = await self.checks(None), asyncio.Semaphore(_AT_ONCE)

        async def check(lineage: Lineage) -> WellkeeperError | None:
            async with slots:
                try:
                    if await self._folders.installed(lineage.name) is None:
                        return unusable(lineage.name, self._folders.live_path(lineage.name))
                    served = await self._served(lineage, checks.get(lineage.name), is_patient=False)
                except WellkeeperError as error:
                    return error
            return None if served.is_served or served.is_hidden else VerifyError("it is not served", served.detail)

        found = await asyncio.gather(*map(check, lineages))
        return {one.name: error for one, error in zip(lineages, found, strict=True) if error is not None}

    async def describe(self, lineage: Lineage) -> str:
        """Return what nginx serves of an installed certificate.

        Raises VerifyError, InstallError, ReloadError and JournalError.
        """
        installed = await self._folders.installed(lineage.name)
        if installed is None or installed.certificate.is_self_signed:
            return "no certificate of a CA is installed yet"
        check = (await self.checks([lineage.name])).get(lineage.name)
        was_served = check is not None and check.served_version is not None
        served = await self._served(lineage, check, is_patient=was_served)
        return served.detail if served.is_served or served.is_hidden else "no server block uses it yet"

    async def served(self, lineage: Lineage, check: Check | None) -> Served:
        """Return what nginx serves of an installed certificate; `check` is the last look. Raises as `describe`."""
        return await self._served(lineage, check, is_patient=False)

    async def plan(self, lineage: Lineage, installed: Installed) -> Plan:
        """Return the handshakes that verify the certificate. Raises ReloadError."""
        return await self._verification.plan(installed, lineage.https_addresses)

    async def _served(self, lineage: Lineage, check: Check | None, *, is_patient: bool) -> Served:
        return (await prove(lineage, check, self._verification, self._clock, is_patient=is_patient)).served

    async def checks(self, among: Collection[str] | None) -> Mapping[str, Check]:
        """Return by certificate, of all or of these, the last look. Raises JournalError."""
        if not has_state(self._settings.state_dir):
            return {}
        async with build.state_to_read(self._settings) as state:
            return await state.deliveries.checks(among)


def unusable(name: str, live_path: str) -> InstallError:
    """Return the error about a certificate whose files are damaged."""
    return InstallError(
        f"{live_path} holds no usable certificate",
        "its files are missing or damaged, or its key belongs to another certificate",
        f"Run 'wellkeeper renew {name}' to repair it.",
    )
