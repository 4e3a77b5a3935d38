"""The real issuer on a disk that is full: a small file system of its own, or a kernel that says so.

A mount namespace of our own needs neither root nor anything to be undone; where the system does not allow one, strace
answers the calls that need space. Both tell the issuer ENOSPC, as a full disk does.
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
# Of a megabyte, filled to the last bytes; what was left there by the issuer is taken back afterwards.
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
# What takes space in each place, as far as the issuer gets.
_INJECTED: Final = {
    "issuer": ("-e", "inject=pwrite64:error=ENOSPC"),
    # The first one is the proof before the CA is asked.
    "certificates": ("-e", "inject=?mkdir,mkdirat:error=ENOSPC:when=2+"),
}
# Kilobytes, of the mebibyte that the proof needs.
_LITTLE: Final = 600


class Way(Enum):
    FILE_SYSTEM = "a file system of its own"
    KERNEL = "the kernel says so"


def _is_allowed() -> bool:
    probe = (*_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt")
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


WAYS: Final = (Way.FILE_SYSTEM, Way.KERNEL) if _is_allowed() else (Way.KERNEL,)


async def run_on_full_disk(issuer: Issuer, place: Path, way: Way, *arguments: str) -> Finished:
    """The command, while `place` (state_dir or certificates_dir) is full; what it could write there stays."""
    if way is Way.KERNEL:
        return await traced(issuer, _INJECTED[place.name], _command(arguments))
    return await _run_on_full(issuer, place, 0, arguments)


async def run_on_small_disk(issuer: Issuer, place: Path, way: Way, *arguments: str) -> Finished:
    """The same, while SQLite has room enough there, but no certificate has."""
    if way is Way.KERNEL:
        return await _run_refused(issuer, place, "ENOSPC", arguments)
    return await _run_on_full(issuer, place, _LITTLE, arguments)


async def run_on_read_only_disk(issuer: Issuer, place: Path, way: Way, *arguments: str) -> Finished:
    """The command, while `place` is read-only."""
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
    """Refuse what only the proofs of the two folders call: one after the other, in one thread."""
    number = {"issuer": 1, "certificates": 2}[place.name]
    return await traced(issuer, ("-e", f"inject=fadvise64:error={error}:when={number}"), _command(arguments))


def _command(arguments: Sequence[str]) -> tuple[str, ...]:
    return str(PROGRAMS / "wellkeeper"), *arguments


def _take_back(place: Path) -> None:
    place.rename(place.with_name(f"{place.name}.unused"))
    place.with_name(f"{place.name}.after").rename(place)


async def run_until_full(issuer: Issuer, write: int) -> Finished:
    """`renew` on a disk that is full from this write to the journal on."""
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
