"""Choose and remove old versions from `archive/<lineage>/`: chain and key together. All of it blocks."""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from wellkeeper_node import presence, rights
from wellkeeper_node.certificates import links, reading
from wellkeeper_node.certificates.layout import CHAIN_FILE, VERSION
from wellkeeper_node.model import Certificate, Old

_log = logging.getLogger(__name__)

KEPT_VERSIONS: Final = 5
# Long enough to look into what went wrong; a key that nothing uses should not stay forever.
_KEPT_AFTER_EXPIRY: Final = timedelta(days=30)


def versions(archive: Path) -> list[str]:
    """Return the versions, the oldest first."""
    return sorted(path.name for path in archive.iterdir() if VERSION.fullmatch(path.name))


def read_versions(archive: Path) -> list[Old]:
    """Return the versions with their certificates, the oldest first; none without the directory."""
    if not presence.is_dir(archive):
        return []
    return [Old(version, str(archive / version), _read(archive / version)) for version in versions(archive)]


def find_old(archive: Path, live: str | None, now: datetime) -> list[Old]:
    """Return the versions before the last five, and those that expired over thirty days ago; never the live one."""
    every = read_versions(archive)
    surplus = every[:-KEPT_VERSIONS]
    return [one for one in every if one.version != live and (one in surplus or _is_long_expired(one.certificate, now))]


def remove(archive: Path, chosen: Collection[str]) -> None:
    """Remove these versions, each at once; one that cannot be removed is logged."""
    for version in chosen:
        path = archive / version
        try:
            path.rename(links.unfinished_path(path))
            links.remove(links.unfinished_path(path))  # or the next write does
        except OSError as error:
            _log.warning("cannot remove the old version %s: %s", path, error)


def _read(folder: Path) -> Certificate | None:
    try:
        return reading.read_certificate(rights.read_file(folder / CHAIN_FILE))
    except (OSError, ValueError):
        return None


def _is_long_expired(certificate: Certificate | None, now: datetime) -> bool:
    return certificate is not None and certificate.not_after + _KEPT_AFTER_EXPIRY < now
