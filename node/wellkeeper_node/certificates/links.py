"""Links and directories below a `certificates_dir`: read the live link, switch it by one rename, prove that this works.

Names that begin with a dot are ours, for what is unfinished. All of it blocks; the caller holds the lineage's lock.
"""

import contextlib
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wellkeeper_node import presence
from wellkeeper_node.certificates.layout import linked_version
from wellkeeper_node.errors import InstallError

_UNFINISHED: Final = ".tmp-"
_PROOF: Final = ".proof-"


def current(link: Path) -> str | None:
    """Return the version that the live link points to; it need not exist. Raises InstallError for anything else."""
    try:
        target = link.readlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise InstallError(
            f"{link} is not a symbolic link", remedy="Move it away, then run 'wellkeeper renew' again."
        ) from error
    version = linked_version(link.name, str(target))
    if version is None:
        raise InstallError(
            f"{link} points to {target}, not to a version in the archive",
            remedy="Remove the link, then run 'wellkeeper renew' again.",
        )
    return version


def point(link: Path, target: Path) -> None:
    """Point the link to the target by one rename; a leftover of a crash is replaced. Raises OSError."""
    _rename(link, lambda unfinished: unfinished.symlink_to(target))


def prove_link(folder: Path, lineage: str) -> None:
    """Do in the directory what `point` does for the lineage, and undo it. Raises OSError."""
    remove(folder / f"{_UNFINISHED}{lineage}")
    _prove(folder / f"{_PROOF}{lineage}", lambda path: path.symlink_to("."))


def prove_folder(folder: Path, lineage: str) -> None:
    """Make and rename a directory in this one, and remove it. Raises OSError."""
    _prove(folder / f"{_PROOF}{lineage}", Path.mkdir)


def remove(path: Path) -> None:
    """Remove what is there, of whatever kind; nothing is fine. Raises OSError."""
    if presence.is_dir(path) and not presence.is_symlink(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a process left that crashed while writing."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        remove(path)


def unfinished_path(path: Path) -> Path:
    """Return the temporary name of what will be renamed to `path`."""
    return path.with_name(f"{_UNFINISHED}{path.name}")


def _prove(path: Path, make: Callable[[Path], None]) -> None:
    remove(path)
    _rename(path, make)
    remove(path)


def _rename(path: Path, make: Callable[[Path], None]) -> None:
    unfinished = unfinished_path(path)
    try:
        remove(unfinished)
        make(unfinished)
        unfinished.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            remove(unfinished)
        error.filename, error.filename2 = str(path.parent), None  # a link's error names its target
        raise
