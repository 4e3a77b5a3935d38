"""Verify what is live right now, for `status --check` and rehearsals: what was recorded may no longer be true."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import InstallError, VerifyError, WellkeeperError

if TYPE_CHECKING:
    from wellkeeper_node.deliver.verification import Verification

_AT_ONCE: Final = 8


def make_verification(settings: Settings) -> "Verification":
    """Raises SettingsError."""
    from wellkeeper_node.deliver.verification import Verification
    from wellkeeper_node.probes.probes import NodeProbes

    nginx, folders, addresses = build.make_nginx(settings), build.certificates(settings), settings.nginx.https_addresses
    probes = NodeProbes(speaks_proxy_protocol=settings.nginx.proxy_protocol)
    return Verification(nginx, probes, folders, addresses, SystemClock())


async def check_now(settings: Settings, lineages: Sequence[Lineage]) -> Mapping[str, WellkeeperError]:
    """Return what is wrong by lineage: files that cannot be used, or a certificate that is not served."""
    folders, verification = build.certificates(settings), make_verification(settings)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def check(lineage: Lineage) -> WellkeeperError | None:
        async with slots:
            try:
                if await folders.installed(lineage.name) is None:
                    return _unusable(lineage.name, folders.live_path(lineage.name))
                served = (await verification.verify(lineage.name, lineage.https_addresses)).served
            except WellkeeperError as error:
                return error
        return None if served.is_served or served.is_hidden else VerifyError("it is not served", served.detail)

    found = await asyncio.gather(*map(check, lineages))
    return {one.name: error for one, error in zip(lineages, found, strict=True) if error is not None}


async def describe_served(settings: Settings, lineage: Lineage) -> str:
    """Return what nginx serves of an installed certificate. Raises VerifyError, InstallError and ReloadError."""
    installed = await build.certificates(settings).installed(lineage.name)
    if installed is None or installed.certificate.is_self_signed:
        return "no certificate of a CA is installed yet"
    served = (await make_verification(settings).verify(lineage.name, lineage.https_addresses)).served
    return served.detail if served.is_served or served.is_hidden else "no server block uses it yet"


def _unusable(name: str, live_path: str) -> InstallError:
    return InstallError(
        f"{live_path} holds no usable certificate",
        "its files are missing or damaged, or its key belongs to another certificate",
        f"Run 'wellkeeper renew {name}' to repair it.",
    )
