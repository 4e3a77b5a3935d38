"""Check the directories and the clock of the issuer's host."""

import asyncio
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from wellkeeper_client import permissions, wire
from wellkeeper_issuer.outside.state import proof
from wellkeeper_node import presence
from wellkeeper_node.certificates.layout import KEY_FILE
from wellkeeper_node.doctor.of_errors import NEEDS_ROOT
from wellkeeper_node.doctor.responder import Asked
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.wording import format_time

DIRECTORIES: Final = "directories"
KEYS: Final = "private-keys"
CLOCK: Final = "clock"
_MEBIBYTE: Final = 1 << 20
# Enough for hundreds of renewals, and for a pass.
_LITTLE: Final = 100 * _MEBIBYTE
_LEAST: Final = 10 * _MEBIBYTE
_LISTED: Final = 5
# CAs date certificates back by an hour; a host may be a little behind.
_SLACK: Final = timedelta(minutes=5)


async def check_directories(
    state_dir: Path, certificates_dir: Path, owner: int | None, mounts: Path = proof.MOUNTS
) -> list[Finding]:
    """Return `directories`: they exist on a disk with free space, and no other user may change what is in them.

    `owner` is the user of certificates_owner. `mounts` has the format of proc_pid_mountinfo(5).
    """

    def look() -> list[Finding]:
        return _look(((state_dir, None), (certificates_dir, owner)), mounts)

    return await asyncio.to_thread(look)


async def check_private_keys(state_dir: Path, live_folders: Mapping[str, Path]) -> list[Finding]:
    """Return `private-keys`: other users can read neither the keys and the state in state_dir, nor installed keys.

    `live_folders` are those of the certificates.
    """
    return await asyncio.to_thread(_look_at_keys, state_dir, live_folders)


async def check_clock(now: datetime, asked: Sequence[Asked], valid_from: Mapping[str, datetime]) -> list[Finding]:
    """Return `clock`: installed certificates are valid already, and the responders' clocks agree with this host's.

    `valid_from` are the dates of the installed certificates.
    """
    later = {name: at for name, at in valid_from.items() if at > now + _SLACK}
    fix = "Correct it, with 'timedatectl set-ntp true' for example."
    if later:
        name, at = max(later.items(), key=lambda one: one[1])
        certificate = f"Certificate {name} is valid from {format_time(at)}"
        cause = f"this host's clock says {format_time(now)}; is it right? {certificate}"
        return [Finding(CLOCK, Verdict.FAIL, "", cause, fix)]
    found = []
    for one in asked:
        ahead = (one.clock or 0.0) - now.timestamp()
        if one.clock is not None and abs(ahead) > wire.CLOCK_WARNING_SECONDS:
            direction = "ahead of" if ahead > 0 else "behind"
            cause = (
                f"the responder's clock is {abs(ahead):.0f} s {direction} this host's, which says {format_time(now)}"
            )
            found.append(Finding(CLOCK, Verdict.FAIL, one.node, cause, fix))
    return found or [Finding(CLOCK, Verdict.OK, "", f"this host's clock says {format_time(now)}")]


def space_faults(folder: Path, status: os.statvfs_result) -> Iterator[Finding]:
    """Yield what keeps the file system of a directory from storing anything, or will soon."""
    free, subject = status.f_bavail * status.f_frsize, str(folder)
    if status.f_flag & os.ST_RDONLY:
        cause = "its file system is mounted read-only"
        yield Finding(DIRECTORIES, Verdict.FAIL, subject, cause, "Mount it read-write: look at 'dmesg' first.")
    if free < _LITTLE:
        verdict = Verdict.FAIL if free < _LEAST else Verdict.WARN
        yield Finding(DIRECTORIES, verdict, subject, f"only {free // _MEBIBYTE} MiB are free there", "Free some space.")
    if status.f_files and not status.f_favail:
        yield Finding(DIRECTORIES, Verdict.FAIL, subject, "its file system has no free inodes", "Delete files there.")


def _look(folders: Sequence[tuple[Path, int | None]], mounts: Path) -> list[Finding]:
    """Return what is found of the directories, the one of the state first, with their owners beside this user."""
    found: list[Finding] = []
    for folder, allowed in folders:
        subject = str(folder)
        try:
            if not presence.is_dir(folder):
                found.append(_missing(folder, is_state=folder == folders[0][0]))
                continue
            os.scandir(folder).close()
        except PermissionError:
            found.append(Finding(DIRECTORIES, Verdict.SKIPPED, subject, NEEDS_ROOT))
            continue
        wrong = [*_faults(folder, allowed), *space_faults(folder, os.statvfs(folder)), *_ephemeral(folder, mounts)]
        found += wrong or [Finding(DIRECTORIES, Verdict.OK, subject, _fact(folder))]
    return found


def _look_at_keys(state_dir: Path, live_folders: Mapping[str, Path]) -> list[Finding]:
    try:
        is_open = bool(state_dir.stat().st_mode & 0o011)
        state = sorted((*state_dir.glob("state.*"), *state_dir.rglob("*.pem"))) if is_open else []
        readable = [one for one in state if permissions.is_readable_by_others(one)]
        paths = [folder / KEY_FILE for folder in live_folders.values()]
        readable += [one for one in paths if permissions.is_readable_by_all(one)]
    except FileNotFoundError:
        return [Finding(KEYS, Verdict.SKIPPED, "", f"{state_dir} does not exist")]
    except PermissionError:
        return [Finding(KEYS, Verdict.SKIPPED, "", NEEDS_ROOT)]
    if not readable:
        return [Finding(KEYS, Verdict.OK, "", "no other user can read the private keys")]
    more = len(readable) - _LISTED
    return [
        Finding(KEYS, Verdict.FAIL, str(one), "other users may read this file", f"Run 'chmod {_removed(one)} {one}'.")
        for one in readable[:_LISTED]
    ] + (
        [Finding(KEYS, Verdict.FAIL, "", f"other users may read {more} more files", "Look there.")] if more > 0 else []
    )


def _missing(folder: Path, *, is_state: bool) -> Finding:
    if is_state:
        return Finding(DIRECTORIES, Verdict.FAIL, str(folder), "it does not exist", "Run 'wellkeeper init'.")
    return Finding(DIRECTORIES, Verdict.OK, str(folder), "it does not exist yet; the first certificate creates it")


def _faults(folder: Path, owner: int | None) -> Iterator[Finding]:
    if fault := permissions.find_fault(folder, owner):
        yield Finding(DIRECTORIES, Verdict.FAIL, str(folder), fault.why, fault.remedy)


def _ephemeral(folder: Path, mounts: Path) -> Iterator[Finding]:
    kind = proof.file_system(folder, mounts)
    if kind in proof.EPHEMERAL:
        cause = f"it is on {kind}: what is in it is lost {proof.EPHEMERAL[kind]}"
        yield Finding(DIRECTORIES, Verdict.WARN, str(folder), cause, "Move it to a disk or a volume.")


def _fact(folder: Path) -> str:
    status, space = folder.stat(), os.statvfs(folder)
    free = space.f_bavail * space.f_frsize // _MEBIBYTE
    return f"mode {stat.S_IMODE(status.st_mode):04o}, {free} MiB free"


def _removed(path: Path) -> str:
    """Return what chmod removes: an installed key may be for a group."""
    return "o=" if path.name == KEY_FILE else "go="
