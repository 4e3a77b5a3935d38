"""The real issuer on a full disk: a small file system, or a kernel that reports one.

A separate mount namespace needs neither root nor clean-up; where the system does not allow one, strace
answers the calls that need space. Both return ENOSPC to the issuer, as a full disk does.
"""

import asyncio
import subprocess
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from stand.issuer import Finished, Issuer
from stand.processes import PROGRAMS, search_path

_NAMESPACE: Final = ("unshare", "--user", "--map-root-user", "--mount")
# A file system of a megabyte, filled up; files left there by the issuer are moved back afterwards.
_ON_A_FULL_DISK: Final = """
set -e
place=$1
left=$2
shift 2
cp -a "$place" "$place.before"
mount -t tmpfs -o size=1m,mode=700 none "$place"
cp -a "$place.before/." "$place"
dd if=/dev/zero of="$place/filler" bs=512 2>/dev/null || true
truncate -s -"$left"K "$place/filler"
status=0
"$@" || status=$?
rm "$place/filler"
cp -a "$place" "$place.after"
exit $status
"""
_ON_A_READ_ONLY_DISK: Final = """
set -e
place=$1
shift
cp -a "$place" "$place.before"
mount -t tmpfs -o mode=700 none "$place"
cp -a "$place.before/." "$place"
mount -o remount,ro "$place"
exec "$@"
"""
# The system calls that take space in each directory, as far as the issuer gets.
_INJECTED: Final = {
    "issuer": ("-e", "inject=pwrite64:error=ENOSPC"),
    # Only a new version's files get a mode, neither the proofs before the CA is asked nor nginx's test.
    "certificates": ("-e", "inject=fchmod:error=ENOSPC"),
}
# Kilobytes; the proof needs a mebibyte.
_LITTLE: Final = 600


class Way(Enum):
    FILE_SYSTEM = "a file system of its own"
    KERNEL = "the kernel says so"


def _is_allowed() -> bool:
    probe = (*_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt")
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


WAYS: Final = (Way.FILE_SYSTEM, Way.KERNEL) if _is_allowed() else (Way.KERNEL,)


async def run_on_full_disk(issuer: Issuer, place: Path, way: Way, *arguments: str) -> Finished:
    """Run the command while `place` (state_dir or certificates_dir) is full; files written there are kept."""
    if way is Way.KERNEL:
        return await traced(issuer, _INJECTED[place.name], _command(arguments))
    return await _run_on_full(issuer, place, 0, arguments)


async def run_on_small_disk(issuer: Issuer, place: Path, way: Way, *arguments: str) -> Finished:
    """Run the command with enough room for SQLite there, but not for a certificate."""
    if way is Way.KERNEL:
        return await _run_refused(issuer, place, "ENOSPC", arguments)
    return await _run_on_full(issuer, place, _LITTLE, arguments)


async def run_on_read_only_disk(issuer: Issuer, place: Path, way: Way, *arguments: str) -> Finished:
    """Run the command while `place` is read-only."""
    if way is Way.KERNEL:
        return await _run_refused(issuer, place, "EROFS", arguments)
    script = ("sh", "-c", _ON_A_READ_ONLY_DISK, "sh", str(place))
    return await _run(issuer, (*_NAMESPACE, *script, *_command(arguments)))


async def _run_on_full(issuer: Issuer, place: Path, left: int, arguments: Sequence[str]) -> Finished:
    script = ("sh", "-c", _ON_A_FULL_DISK, "sh", str(place), str(left))
    finished = await _run(issuer, (*_NAMESPACE, *script, *_command(arguments)))
    _take_back(place)
    return finished


async def _run_refused(issuer: Issuer, place: Path, error: str, arguments: Sequence[str]) -> Finished:
    """Run the command and fail system calls that only the proofs of the two directories make, in one thread."""
    number = {"issuer": 1, "certificates": 2}[place.name]
    return await traced(issuer, ("-e", f"inject=fadvise64:error={error}:when={number}"), _command(arguments))


def _command(arguments: Sequence[str]) -> tuple[str, ...]:
    return str(PROGRAMS / "wellkeeper"), *arguments


def _take_back(place: Path) -> None:
    place.rename(place.with_name(f"{place.name}.unused"))
    place.with_name(f"{place.name}.after").rename(place)


async def run_until_full(issuer: Issuer, write: int) -> Finished:
    """Run `renew` on a disk that is full from this write to the journal on."""
    wal = issuer.state_dir / "state.db-wal"
    injected = ("-P", str(wal), "-e", f"inject=pwrite64:error=ENOSPC:when={write}+")
    return await traced(issuer, injected, _command(("renew", "--json")))


async def traced(issuer: Issuer, injected: Sequence[str], command: Sequence[str]) -> Finished:
    return await _run(issuer, ("strace", "-f", "-qq", "-o", "/dev/null", *injected, *command))


async def _run(issuer: Issuer, argv: Sequence[str]) -> Finished:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "WELLKEEPER_CONFIG": str(issuer.config_path)},
    )
    out, err = await process.communicate()
    return Finished(await process.wait(), out.decode(), err.decode())
