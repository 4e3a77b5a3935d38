"""Follow the trust file: take its values, and keep the last valid ones while it is invalid or gone.

    missing ──▶ valid ◀──▶ invalid or gone, the former values in force

A look is a stat(2). A changed file is read; one that is still invalid at the next look is reported, once per complaint,
so that a half-written file is not. docs/design/0018-trust-file.md says why it is not inotify(7).
"""

import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wellkeeper_client import trust_file
from wellkeeper_client.trust_file import Trust, TrustError

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
_IN_FORCE: Final = "the former values stay in force"


class TrustFile:
    """The trust file of a responder; `take` gets the values, first and whenever they change."""

    def __init__(self, path: Path, take: Callable[[Trust], None]) -> None:
        self._path = path
        self._take = take
        self._trust: Trust | None = None
        self._stamp: object = None
        self._is_valid = False
        self._complaint = ""

    @property
    def status(self) -> str:
        """Describe what is in force, for `systemctl status`."""
        if self._trust is None:
            return f"answers nothing: {self._complaint}" if self._complaint else "answers nothing yet"
        accounts, keys = len(self._trust.account_thumbprints), len(self._trust.publishing_keys)
        counted = f"accounts trusted: {accounts}, publishing keys: {keys}"
        return f"{counted}; {_IN_FORCE}: {self._complaint}" if self._complaint else counted

    def read(self) -> None:
        """Read the file now and report the result, as at the start and when a person asks for it."""
        self._stamp, self._complaint = _stamp(self._path), ""
        former = self._trust
        self._is_valid = self._read(is_reported=True)
        if self._is_valid and former == self._trust:
            _log.info("trust file unchanged", extra={"fields": {"file": str(self._path)}})

    def look(self) -> None:
        """Read the file if it changed since the last look, or while it is invalid."""
        stamp = _stamp(self._path)
        is_same, self._stamp = stamp == self._stamp, stamp
        if not (is_same and self._is_valid):
            self._is_valid = self._read(is_reported=is_same)

    def _read(self, *, is_reported: bool) -> bool:
        try:
            trust = trust_file.read(self._path)
        except FileNotFoundError:
            remedy = "Run 'wellkeeper init'." if self._trust is None else trust_file.WRITE
            error = TrustError(f"{self._path} does not exist", remedy)
        except TrustError as found:
            error = found
        else:
            self._accept(trust)
            return True
        if is_reported and str(error) != self._complaint:
            self._complaint = str(error)
            self._report(error)
        return False

    def _report(self, error: TrustError) -> None:
        is_new = self._trust is None
        consequence = "no token is answered until it is valid" if is_new else _IN_FORCE
        is_waiting = is_new and self._stamp == errno.ENOENT
        level = logging.WARNING if is_waiting else logging.ERROR
        _log.log(level, "%s; %s. %s", error.what, consequence, error.remedy)

    def _accept(self, trust: Trust) -> None:
        was_invalid, self._complaint = bool(self._complaint), ""
        former, self._trust = self._trust, trust
        if trust != former:
            self._take(trust)
            _log.info("trust", extra={"fields": {"file": str(self._path), **_changes(former or Trust(), trust)}})
        elif was_invalid:
            _log.info("trust file valid again", extra={"fields": {"file": str(self._path)}})


def _changes(former: Trust, trust: Trust) -> dict[str, list[str]]:
    added, removed = trust - former, former - trust
    changes = {
        "added_account_thumbprints": added.account_thumbprints,
        "removed_account_thumbprints": removed.account_thumbprints,
        "added_publishing_keys": added.publishing_keys,
        "removed_publishing_keys": removed.publishing_keys,
    }
    return {name: list(values) for name, values in changes.items() if values}


def _stamp(path: Path) -> object:
    """Return a value that changes with the file that the path leads to; the error if there is none."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
