"""Prove that directories store what is written to them, before a CA receives an order.

A certificate that cannot be stored is lost, but counts against the CA's limits.
"""

import logging
import os
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import JournalError
from wellkeeper_node import presence, rights
from wellkeeper_node.advice import files
from wellkeeper_node.durable import to_its_end
from wellkeeper_node.errors import InstallError

_log = logging.getLogger(__name__)

# Room for what one pass writes: a hundred chains with their keys, or the write-ahead log of as many renewals.
SIZE: Final = 1 << 20
_BLOCK: Final = 4096
# File systems whose content is lost, and when.
EPHEMERAL: Final = {
    "overlay": "with the container",
    "tmpfs": "when the host restarts",
    "ramfs": "when the host restarts",
}
MOUNTS: Final = Path("/proc/self/mountinfo")


async def prove_places(state_dir: Path, certificates_dir: Path) -> None:
    """Prove both directories, also if `archive/` is a mount of its own; leave no files behind.

    Raises JournalError or InstallError naming the directory.
    """

    def prove_both() -> None:
        prove(state_dir, JournalError)
        archive = certificates_dir / "archive"
        try:
            with rights.of_owner(certificates_dir):
                prove(archive, InstallError)
        except OSError as error:
            raise _refused(archive, error, InstallError) from error

    await to_its_end(prove_both)


def prove(folder: Path, refusal: type[JournalError | InstallError]) -> None:
    """Write a mebibyte, make it durable, read it back and remove it; raises `refusal`.

    If the directory does not exist yet, use the one in which it will be created.
    """
    try:
        place = next(path for path in (folder.absolute(), *folder.absolute().parents) if presence.is_dir(path))
        is_kept = _keeps(place, os.urandom(_BLOCK) * (SIZE // _BLOCK))
    except OSError as error:
        raise _refused(folder, error, refusal) from error
    if not is_kept:
        raise refusal(
            f"{folder} does not return what was written to it, so the CA was not asked",
            remedy="Replace the disk: it is failing.",
        )


def _refused(folder: Path, error: OSError, refusal: type[JournalError | InstallError]) -> JournalError | InstallError:
    remedy = error.remedy if isinstance(error, rights.BarredError) else files.of_storing(error)
    return refusal(f"cannot store 1 MiB in {folder}, so the CA was not asked", error.strerror or str(error), remedy)


def _keeps(folder: Path, content: bytes) -> bool:
    """Write to an unlinked file, so that nothing is left behind, and return True if it reads back the same."""
    path = folder / f".proof-{os.urandom(8).hex()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w+b") as file:
        path.unlink()
        file.write(content)
        file.flush()
        os.fsync(descriptor)
        # Read from the disk, not from memory, where the file system supports that.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        return file.read() == content


def warn_of_ephemeral(state_dir: Path, mounts: Path = MOUNTS) -> None:
    """Warn when account keys and orders will be lost with the container or at the next restart."""
    kind = file_system(state_dir, mounts)
    if kind in EPHEMERAL:
        _log.warning(
            "state_dir = %s is on %s: account keys and renewals under way are lost %s; use a disk or a volume",
            state_dir,
            kind,
            EPHEMERAL[kind],
        )


def file_system(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the file system's type as the kernel names it; None if unknown. Format: proc_pid_mountinfo(5)."""
    try:
        device = folder.stat().st_dev
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    for fields in map(str.split, lines):
        if fields[2] == f"{os.major(device)}:{os.minor(device)}":
            return fields[fields.index("-") + 1]
    return None
