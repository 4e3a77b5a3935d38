"""Proves that a folder keeps what is written to it, before a CA is asked for anything.

A certificate that cannot be stored is lost, and counts against the CA's limits all the same.
"""

import logging
import os
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import JournalError
from wellkeeper_node.advice import files
from wellkeeper_node.durable import to_its_end
from wellkeeper_node.errors import InstallError

_log = logging.getLogger(__name__)

# Room for what one pass writes: a hundred chains with their keys, or the write-ahead log of as many renewals.
SIZE: Final = 1 << 20
_BLOCK: Final = 4096
_UNASKED: Final = "the CA was not asked"
# What lies there is gone with the container, or after a restart.
_EPHEMERAL: Final = {"overlay": "with the container", "tmpfs": "when the host restarts", "ramfs": "when it restarts"}
_MOUNTS: Final = Path("/proc/self/mountinfo")


async def prove_places(state_dir: Path, certificates_dir: Path) -> None:
    """Raises JournalError or InstallError, which name the folder and the remedy. Leaves nothing behind."""

    def prove_both() -> None:
        prove(state_dir, JournalError)
        prove(certificates_dir, InstallError)

    await to_its_end(prove_both)


def prove(folder: Path, refusal: type[JournalError | InstallError]) -> None:
    """Write a mebibyte, make it durable, read it back and remove it; raises `refusal`.

    If the folder does not exist yet, the folder that it will be made in is tried instead.
    """
    try:
        place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
        is_kept = _keeps(place, os.urandom(_BLOCK) * (SIZE // _BLOCK))
    except OSError as error:
        remedy = files.of_storing(error)
        what = f"cannot store a mebibyte in {folder}, so {_UNASKED}"
        raise refusal(what, error.strerror or str(error), remedy) from error
    if not is_kept:
        raise refusal(
            f"{folder} does not return the data that was written, so {_UNASKED}", "its disk fails", "Replace the disk."
        )


def _keeps(folder: Path, content: bytes) -> bool:
    """Nameless as soon as it is there, so that nothing is left behind whatever happens."""
    path = folder / f".proof-{os.urandom(8).hex()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w+b") as file:
        path.unlink()
        file.write(content)
        file.flush()
        os.fsync(descriptor)
        # From the disk, not from memory, where the file system can do that.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        return file.read() == content


def warn_of_ephemeral(state_dir: Path, mounts: Path = _MOUNTS) -> None:
    """Logs a warning when account keys and orders will be lost with the container or at the next start."""
    kind = file_system(state_dir, mounts)
    if kind in _EPHEMERAL:
        _log.warning(
            "state_dir = %s lies on %s, which is gone %s, and with it account keys and what is under way:"
            " put it on a disk or a volume",
            state_dir,
            kind,
            _EPHEMERAL[kind],
        )


def file_system(folder: Path, mounts: Path = _MOUNTS) -> str | None:
    """Its type as the kernel calls it; None where that cannot be told. Format: proc_pid_mountinfo(5)."""
    try:
        device = folder.stat().st_dev
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    for fields in map(str.split, lines):
        if fields[2] == f"{os.major(device)}:{os.minor(device)}":
            return fields[fields.index("-") + 1]
    return None
