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

from wellkeeper_client import services, trust_file
from wellkeeper_client.trust_file import Trust, TrustError

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
_IN_FORCE: Final = "the former values stay in force"
_NOTHING: Final = Trust()
_FROM_OPTIONS: Final = "only the values of the options are in force"


class TrustFile:
    """The trust file of a responder; `take` gets the values, first and whenever they change.

    The values `given` by options are in force in any case. The user `owner` may own the file, too.
    """

    def __init__(
        self, path: Path, take: Callable[[Trust], None], given: Trust = _NOTHING, owner: int | None = None
    ) -> None:
        self._path = path
        self._owner = owner
        self._take = take
        self._given = given
        self._trust: Trust | None = None
        self._stamp: object = None
        self._is_valid = False
        self._complaint = ""

    @property
    def status(self) -> str:
        """Describe what is in force, for `systemctl status`."""
        if self._trust is None and not self._given:
            return f"answers nothing: {self._complaint}" if self._complaint else "answers nothing yet"
        trust = self._given | (self._trust or _NOTHING)
        counted = f"accounts trusted: {len(trust.account_thumbprints)}, publishing keys: {len(trust.publishing_keys)}"
        counted += f", publishers: {len(trust.publishers)}" if trust.publishers else ""
        return f"{counted}; {self._consequence}: {self._complaint}" if self._complaint else counted

    @property
    def _consequence(self) -> str:
        """Describe what a missing or invalid file means."""
        if self._trust is not None:
            return _IN_FORCE
        return _FROM_OPTIONS if self._given else "the responder answers no challenge until it is valid"

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
            trust = trust_file.read(self._path, self._owner)
        except FileNotFoundError:
            remedy = services.set_up() if self._trust is None else trust_file.WRITE
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
        is_waiting = self._trust is None and self._stamp == errno.ENOENT
        level = logging.WARNING if is_waiting else logging.ERROR
        _log.log(level, "%s; %s. %s", error.what, self._consequence, error.remedy)

    def _accept(self, trust: Trust) -> None:
        was_invalid, self._complaint = bool(self._complaint), ""
        former, self._trust = self._trust, trust
        if trust != former:
            self._take(trust)
            _log.info("trust", extra={"fields": {"file": str(self._path), **_changes(former or _NOTHING, trust)}})
        elif was_invalid:
            _log.info("trust file valid again", extra={"fields": {"file": str(self._path)}})


def _changes(former: Trust, trust: Trust) -> dict[str, list[str]]:
    added, removed = trust - former, former - trust
    changes = {
        "added_account_thumbprints": added.account_thumbprints,
        "removed_account_thumbprints": removed.account_thumbprints,
        "added_publishing_keys": added.publishing_keys,
        "removed_publishing_keys": removed.publishing_keys,
        "added_fleet_keys": added.fleet_keys,
        "removed_fleet_keys": removed.fleet_keys,
    }
    named = {"added_publishers": added.publishers, "removed_publishers": removed.publishers}
    texts = changes | {name: tuple(map(str, found)) for name, found in named.items()}
    return {name: list(values) for name, values in texts.items() if values}


def _stamp(path: Path) -> object:
    """Return a value that changes with the file that the path leads to; the error if there is none."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
