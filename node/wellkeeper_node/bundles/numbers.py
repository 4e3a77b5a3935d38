"""The number and name of a lineage's newest version, in `archive/<lineage>/.number`.

It outlives the issuer's state and its manifest.
"""

from pathlib import Path
from typing import Final

from wellkeeper_node import durable, rights
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.model import Version

_FILE: Final = ".number"


async def read_newest(certificates_dir: Path, lineage: str) -> Version | None:
    """Return the recorded version with the highest number; None without a usable record. Raises InstallError."""
    path = _path(certificates_dir, lineage)

    def read() -> Version | None:
        with rights.of_owner(certificates_dir, lineage=lineage):
            return _read(path)

    with durable.translated(certificates_dir):
        return await durable.to_its_end(read)


async def record_newest(certificates_dir: Path, lineage: str, version: Version) -> None:
    """Record the version, durably, unless a number as high is on record. Raises InstallError, as without an archive."""
    path = _path(certificates_dir, lineage)

    def write() -> None:
        with (
            rights.of_owner(certificates_dir),
            durable.locked(certificates_dir / ".lock", lineage),
            rights.of_path(path.parent),
        ):
            known = _read(path)
            if known is None or version.number > known.number:
                durable.replace_whole(path, f"{version.number} {version.archive_name}\n".encode(), 0o644)

    with durable.translated(certificates_dir):
        await durable.to_its_end(write)


def _path(certificates_dir: Path, lineage: str) -> Path:
    return certificates_dir / "archive" / content.check_lineage(lineage) / _FILE


def _read(path: Path) -> Version | None:
    """Return None for a missing file and for a damaged one."""
    try:
        number, archive_name = rights.read_file(path).decode("ascii").split()
        return Version(content.check_number(int(number)), content.check_archive_name(archive_name))
    except (FileNotFoundError, ValueError):
        return None
