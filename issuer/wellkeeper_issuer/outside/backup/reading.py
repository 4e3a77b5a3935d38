"""Read what belongs into a backup, while a daemon may change it.

A renewal records key, CSR and chain in the state before it installs them, and deletes them afterwards. So the state is
copied first: what it lacks then is in the archive, and what is in both is not ordered again.
"""

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import BackupError
from wellkeeper_issuer.outside.backup import contents
from wellkeeper_issuer.outside.backup.contents import Entry
from wellkeeper_issuer.outside.state.snapshot import read_snapshot
from wellkeeper_issuer.outside.state.state import JOURNAL
from wellkeeper_node import durable, presence, rights
from wellkeeper_node.certificates.layout import CHAIN_FILE, VERSION, linked_version
from wellkeeper_node.model import LINEAGE_NAME

# The snapshot replaces them.
_LEFT_OUT: Final = frozenset({JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm", f"{JOURNAL}-journal", "state.lock"})
_TRIES: Final = 10
_UNFINISHED: Final = ".tmp"


def read_state(state_dir: Path, read: Callable[[Path, str], Iterator[Entry]] | None = None) -> list[Entry]:
    """Return all of `state_dir`, with a copy of the database; `read` reads the rest, by default `walk`.

    Raises JournalError, BackupError and OSError.
    """
    database = read_snapshot(state_dir / JOURNAL)
    return [Entry(contents.DATABASE, 0o600, database), *_read_unchanged(state_dir, read or walk)]


def read_certificates(certificates_dir: Path) -> tuple[list[Entry], dict[str, str]]:
    """Return the archive, and the live version of each certificate; each one as of one moment. Raises OSError."""
    archive = certificates_dir / "archive"
    folders = {
        contents.CERTIFICATES: certificates_dir,
        contents.ARCHIVE: archive,
        contents.LIVE: certificates_dir / "live",
    }
    with rights.of_owner(certificates_dir):
        found = [_entry(name, path) for name, path in folders.items() if presence.is_dir(path)]
        names = os.listdir(archive) if presence.is_dir(archive) else []  # noqa: PTH208 - as everywhere here
    live: dict[str, str] = {}
    for name in sorted(filter(LINEAGE_NAME.fullmatch, names)):
        with (
            rights.of_owner(certificates_dir),
            durable.locked(certificates_dir / ".lock", name),
            rights.of_owner(certificates_dir, lineage=name),
        ):
            if not presence.is_dir(archive / name):
                continue  # it was removed meanwhile
            lineage = list(_read_lineage(archive / name, f"{contents.ARCHIVE}/{name}"))
            version = _live_version(certificates_dir / "live" / name)
        found += lineage
        if version and f"{contents.ARCHIVE}/{name}/{version}/{CHAIN_FILE}" in {one.path for one in lineage}:
            live[name] = version
    return found, live


def read_file(path: Path, name: str) -> Entry:
    """Return a file of the administrator's, also through a link. Raises OSError, and ValueError for a large one."""
    content = rights.read_file(path, follows_link=True)
    return _entry(name, path, content)


def walk(folder: Path, name: str) -> Iterator[Entry]:
    """Yield all regular files, also those that links lead to, without hidden ones and what disappears meanwhile."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _LEFT_OUT:
            continue
        with contextlib.suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                yield _entry(f"{name}/{path.name}", path)
                yield from walk(path, f"{name}/{path.name}")
            elif stat.S_ISREG(mode):
                yield _entry(f"{name}/{path.name}", path, path.read_bytes())


def _read_unchanged(state_dir: Path, read: Callable[[Path, str], Iterator[Entry]]) -> list[Entry]:
    """Return the files of a time without changes of keys: a rotation renames one, which could be missed."""
    for _ in range(_TRIES):
        before = _stamps(state_dir)
        found = list(read(state_dir, contents.STATE))
        if _stamps(state_dir) == before:
            return found
    why, remedy = "its keys keep changing", "Try again once no rotation is under way."
    raise BackupError(f"cannot back up {state_dir}", why, remedy)


def _stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    found = {}
    for path in folder.rglob("*.pem"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found[path] = status.st_ino, status.st_mtime_ns
    return found


def _read_lineage(folder: Path, name: str) -> Iterator[Entry]:
    """Yield versions and marks, without what is unfinished."""
    yield _entry(name, folder)
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and not path.name.endswith(_UNFINISHED):
            yield _entry(f"{name}/{path.name}", path, rights.read_file(path))
        elif stat.S_ISDIR(status.st_mode) and VERSION.fullmatch(path.name):
            yield _entry(f"{name}/{path.name}", path)
            for file in sorted(path.iterdir()):
                if stat.S_ISREG(file.lstat().st_mode):
                    yield _entry(f"{name}/{path.name}/{file.name}", file, rights.read_file(file))


def _live_version(link: Path) -> str | None:
    try:
        return linked_version(link.name, str(link.readlink()))
    except OSError:
        return None


def _entry(name: str, path: Path, content: bytes | None = None) -> Entry:
    found = path.stat()
    owner, group = _user(found.st_uid), _group(found.st_gid)
    return Entry(name, stat.S_IMODE(found.st_mode), content, int(found.st_mtime), owner, group)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return ""


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""
