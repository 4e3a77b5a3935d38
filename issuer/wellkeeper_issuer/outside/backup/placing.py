"""Put the content of a backup on disk: all of it or nothing, also after a crash.

    check ─▶ stage ─▶ on durable storage ─▶ decide ─▶ rename each into place, the settings last ─▶ done

Everything is staged in a directory `.wellkeeper-restore` beside its place, hence on the same file system; volumes of
containers stay as they are. The file `decided.json` in that of `state_dir` lists what is renamed. A crash before it is
written leaves nothing; a later one is completed by the next run, and until then no other process can own the state.
"""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import BackupError
from wellkeeper_issuer.outside.backup.places import Item
from wellkeeper_issuer.outside.state.connections import open_to_write
from wellkeeper_issuer.outside.state.lock import DECIDED, LOCK, STAGING
from wellkeeper_issuer.outside.state.state import JOURNAL
from wellkeeper_node import durable, presence, rights
from wellkeeper_node.certificates.links import remove
from wellkeeper_node.wording import counted

# What a state_dir without state may have.
_EMPTY: Final = frozenset({LOCK, STAGING, ".prepare", "daemon.sock", "lost+found"})
_OURS: Final = durable.Owner()


@dataclass(frozen=True, slots=True)
class Restoring:
    """A restore of these items; `digest` names the backup. Blocking.

    `replaced` are directories of an earlier restore, all of whose content goes; files beside the main settings are
    replaced then, too. All methods raise BackupError, JournalError and OSError.
    """

    items: Sequence[Item]
    state_dir: Path
    certificates_dir: Path
    digest: str
    replaced: Sequence[Path] = ()

    @property
    def is_decided(self) -> bool:
        """Return whether an earlier run was interrupted while it renamed. Raises BackupError if of another backup."""
        try:
            found = json.loads((self.state_dir / STAGING / DECIDED).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return False
        if found["digest"] != self.digest:
            raise BackupError(
                f"cannot restore into {self.state_dir}",
                f"the restore of another backup was interrupted there (SHA-256 {found['digest']})",
                "Run 'wellkeeper restore' with that file again, which completes it.",
            )
        return True

    def check(self) -> None:
        """Raise BackupError if something is in the way: restore replaces nothing, unless it is the same file."""
        taken = self.taken()
        if taken:
            first = taken[0]
            others = f", and so do {counted(len(taken) - 1, 'other')}" if taken[1:] else ""
            remedy = "Move away what this host does not need; add --dry-run for the list."
            raise BackupError("cannot restore over what is there", f"{first} exists{others}", remedy)

    def taken(self) -> Sequence[Path]:
        """Return what is in the way."""
        has_state = not self.replaced and set(_names(self.state_dir)) - _EMPTY
        found = dict.fromkeys([self.state_dir] if has_state else [])
        for item in self.items:
            place = item.base / item.top
            if item.base == self.state_dir or not item.top or place in found or self._may_replace(item, place):
                continue
            if self._is_taken(item, place):
                found[place] = None
        return list(found)

    def _may_replace(self, item: Item, place: Path) -> bool:
        """Return whether this is in the way because of an earlier restore; the main settings are the last item."""
        is_setting = item.base == self.items[-1].base and not presence.is_dir(place)
        return item.base in self.replaced or (bool(self.replaced) and is_setting)

    def stage(self) -> None:
        """Write everything beside its place, durably, and decide. What fails leaves nothing behind."""
        self._discard()
        try:
            wanted = [item for item in self.items if item.base in self.replaced or not _is_there(item)]
            for item in wanted:
                self._write(item)
            self._update_state()
            os.sync()  # once, instead of once for each of many files
            tops = dict.fromkeys((str(item.base), item.top) for item in wanted if item.top)
            gone = [(str(base), name) for base in self.replaced for name in _names(base) if name not in _EMPTY]
            text = json.dumps({"digest": self.digest, "tops": list(tops), "gone": gone})
            durable.create_whole(self.state_dir / STAGING / DECIDED, text.encode(), 0o600)
        except BaseException:
            self._discard()
            raise

    def _update_state(self) -> None:
        """Change the tables of an older version to those of this one."""
        try:
            open_to_write(self.state_dir / STAGING / JOURNAL).close()
        except (sqlite3.Error, ValueError) as error:
            raise BackupError("cannot use the state in the backup", str(error), "Use another backup.") from error

    def complete(self) -> None:
        """Rename everything into place. May be repeated after a crash."""
        decided = self.state_dir / STAGING / DECIDED
        decision = json.loads(decided.read_bytes())
        gone = decision.get("gone", [])
        for base, top in decision["tops"]:
            folder = Path(base)
            with self._rights(folder):
                staged = folder / STAGING / top
                if presence.exists(staged):
                    # The rename replaces a file, so the mark of a standby is always there.
                    if gone and (presence.is_dir(folder / top) or presence.is_dir(staged)):
                        remove(folder / top)
                    staged.rename(folder / top)
                    durable.sync(folder)
        for base, name in gone:
            if [base, name] not in decision["tops"]:
                remove(Path(base) / name)
        self._discard(besides=self.state_dir)
        decided.unlink()
        durable.sync(decided.parent)
        self._discard()  # what is empty; a crash may leave it

    def _write(self, item: Item) -> None:
        if not item.top:
            durable.make_folder(item.base, item.mode, item.owner_here())
            return
        durable.make_folder(item.base, 0o755, _OURS)
        with self._rights(item.base):
            _make_staging(item.base / STAGING)
            item.staged.parent.mkdir(0o700, parents=True, exist_ok=True)
            if item.link:
                item.staged.symlink_to(item.link)
            elif item.content is None:
                item.staged.mkdir(0o700, exist_ok=True)
                _give_folder(item)
            else:
                _write_file(item, item.content)

    def _discard(self, besides: Path | None = None) -> None:
        for base in dict.fromkeys(item.base for item in self.items if item.base != besides):
            with self._rights(base):
                if presence.is_dir(base / STAGING):
                    shutil.rmtree(base / STAGING)

    def _is_taken(self, item: Item, place: Path) -> bool:
        with self._rights(item.base):
            if presence.is_dir(place):
                return bool(_names(place))
            return (presence.exists(place) or presence.is_symlink(place)) and not _is_there(item)

    @contextlib.contextmanager
    def _rights(self, base: Path) -> Iterator[None]:
        """Use `certificates_dir` with the rights of its owner only."""
        with rights.of_owner(base) if base == self.certificates_dir else contextlib.nullcontext():
            yield


def _make_staging(folder: Path) -> None:
    if presence.is_symlink(folder) or not presence.is_dir(folder):
        folder.mkdir(0o700)  # refuses a link


def _write_file(item: Item, content: bytes) -> None:
    descriptor = os.open(item.staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        _give(item, descriptor)


def _give_folder(item: Item) -> None:
    descriptor = os.open(item.staged, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _give(item, descriptor)
    finally:
        os.close(descriptor)


def _give(item: Item, descriptor: int) -> None:
    """Set owner, mode and time, never through a link: the owner of `base` may be able to put one there."""
    owner = item.owner_here()
    os.fchown(descriptor, owner.user, owner.group)
    os.fchmod(descriptor, item.mode | (0o700 if item.content is None else 0o400))
    os.utime(descriptor, (item.modified_at, item.modified_at))


def _is_there(item: Item) -> bool:
    """Return whether a file that is restored by itself is there already, with the same content."""
    if item.content is None or item.inside != item.top:
        return False
    place = item.base / item.top
    return presence.is_file(place) and place.read_bytes() == item.content


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if presence.is_dir(folder) else []  # noqa: PTH208 - names are wanted
