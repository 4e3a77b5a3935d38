"""Remove the files of a certificate permanently, in two steps: move them away, then delete them.

`live/NAME` and `archive/NAME` keep their directories, so that moving back is one rename each. What a crash left moved
away is moved back by the next pass of that certificate (`CertificateFolders.restore`) and by the next removal.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from wellkeeper_node import durable, presence, rights
from wellkeeper_node.certificates import links, pruning
from wellkeeper_node.model import Old

_AWAY: Final = ".removed-"


async def read_versions(certificates_dir: Path, lineage: str) -> list[Old]:
    """Return all versions in the archive. Raises InstallError."""

    def read() -> list[Old]:
        with rights.of_owner(certificates_dir, lineage=lineage):
            return pruning.read_versions(certificates_dir / "archive" / lineage)

    with durable.translated(certificates_dir):
        return await durable.to_its_end(read)


async def move_away(certificates_dir: Path, lineage: str) -> None:
    """Move the files to where nginx does not look. Idempotent. Raises InstallError, with nothing moved."""

    def work() -> None:
        moved = list[Path]()
        try:
            for path in _places(certificates_dir, lineage):
                if _is_there(path):
                    links.remove(_away(path))
                    path.rename(_away(path))
                    moved.append(path)
        except OSError:
            for path in moved:
                _away(path).rename(path)
            raise

    await _locked(certificates_dir, lineage, work)


async def move_back(certificates_dir: Path, lineage: str) -> None:
    """Undo `move_away`, except where there are new files. Idempotent. Raises InstallError."""
    if not is_away(certificates_dir, lineage):
        return

    def work() -> None:
        for path in _places(certificates_dir, lineage):
            if _is_there(_away(path)) and not _is_there(path):
                _away(path).rename(path)

    await _locked(certificates_dir, lineage, work)


async def delete_moved(certificates_dir: Path, lineage: str) -> None:
    """Delete what was moved away. Idempotent. Raises InstallError; another call removes what is left."""

    def work() -> None:
        for path in _places(certificates_dir, lineage):
            links.remove(_away(path))

    await _locked(certificates_dir, lineage, work)


def is_away(certificates_dir: Path, lineage: str) -> bool:
    """Return whether a removal is under way or was interrupted. Raises InstallError."""
    with durable.translated(certificates_dir):
        return any(_is_there(_away(path)) for path in _places(certificates_dir, lineage))


def _is_there(path: Path) -> bool:
    return presence.is_symlink(path) or presence.exists(path)


def _places(certificates_dir: Path, lineage: str) -> tuple[Path, Path]:
    """Return the link before its target."""
    return certificates_dir / "live" / lineage, certificates_dir / "archive" / lineage


def _away(path: Path) -> Path:
    return path.with_name(f"{_AWAY}{path.name}")


async def _locked(certificates_dir: Path, lineage: str, work: Callable[[], None]) -> None:
    def run() -> None:
        if not presence.is_dir(certificates_dir):
            return
        with rights.of_owner(certificates_dir), durable.locked(certificates_dir / ".lock", lineage):
            work()
            for path in _places(certificates_dir, lineage):
                if presence.is_dir(path.parent):
                    durable.sync(path.parent)

    with durable.translated(certificates_dir):
        await durable.to_its_end(run)
