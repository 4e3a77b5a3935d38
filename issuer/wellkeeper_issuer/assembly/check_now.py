"""Check what is live right now, for `status --check`: what was recorded may no longer be true."""

from collections.abc import Mapping, Sequence

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.errors import InstallError, WellkeeperError


async def check_now(settings: Settings, lineages: Sequence[Lineage]) -> Mapping[str, WellkeeperError]:
    """Return what is wrong by lineage. Raises SettingsError."""
    folders = build.certificates(settings)
    found: dict[str, WellkeeperError] = {}
    for lineage in lineages:
        try:
            await _check(lineage, folders)
        except WellkeeperError as error:
            found[lineage.name] = error
    return found


async def _check(lineage: Lineage, folders: CertificateFolders) -> None:
    if await folders.installed(lineage.name) is None:
        raise InstallError(
            f"{folders.live_path(lineage.name)} holds no usable certificate",
            "its files are missing or damaged, or its key belongs to another certificate",
            f"Run 'wellkeeper renew {lineage.name}' to repair it.",
        )
