"""Publish what an ACME client writes into a webroot, and withdraw what it removes.

    file ─▶ published ─▶ file removed ─▶ withdrawn
        │       └─▶ lost by a restarted responder: published again
        └─▶ refused: reported once, and retried each second while the file is there

It looks at the directory many times a second. inotify(7) is not in the standard library, needs the directory to exist,
and reports nothing of network file systems.
"""

import os
import signal
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_client import wire
from wellkeeper_client.publish import ResponderError
from wellkeeper_client.publisher import WEBROOT, Publisher, PublisherError, parse_key_authorization
from wellkeeper_client.signing import Publication

LOOK_SECONDS: Final = 0.03
_RETRY_SECONDS: Final = 1.0
_RIGHTS: Final = "permission denied. Give the user of wellkeeper-publish read access."
# More than any key authorization has.
_LONGEST: Final = 512

# Device, inode, size, and times of change: of the content, and of the mode, which may make it readable.
_Stamp = tuple[int, int, int, int, int]


@dataclass(slots=True)
class _Seen:
    """A file with its content: its publication, or the error to report once and the time to retry."""

    stamp: _Stamp
    text: str
    publication: Publication | None = None
    error: str = ""
    retry_at: float = 0.0


class WebrootWatch:
    """Watches DIR/.well-known/acme-challenge; `report` gets a line for each change, `monotonic` is the clock.

    The responder answers tokens of a publisher only at the name `identifier`, those of the issuer at all names.
    """

    def __init__(
        self,
        publisher: Publisher,
        webroot: Path,
        report: Callable[[str], None],
        monotonic: Callable[[], float],
        identifier: str = WEBROOT,
    ) -> None:
        self._identifier = identifier
        self._publisher = publisher
        self._folder = webroot / wire.CHALLENGE_PREFIX.strip("/")
        self._report = report
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}
        self._ask_at = 0.0
        self._is_denied = False

    def run(self) -> None:
        """Look until SIGTERM or SIGINT, and withdraw everything."""
        ends = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        while signal.sigtimedwait(ends, LOOK_SECONDS) is None:
            self.look()
        self._withdraw(self._seen)

    def look(self) -> None:
        """Publish new files and withdraw those that are gone."""
        found = self._find()
        self._withdraw({token: seen for token, seen in self._seen.items() if token not in found})
        now = self._monotonic()
        self._forget_lost(now)
        for token, stamp in found.items():
            seen = self._read(token, stamp)
            if seen.publication is None and seen.retry_at <= now and _is_complete(token, seen.text):
                self._publish(token, seen, now)

    def _forget_lost(self, now: float) -> None:
        """Ask each second whether the responder still has a publication: it may have been restarted, or it expired."""
        published = {token: seen for token, seen in self._seen.items() if seen.publication is not None}
        if published and self._ask_at <= now:
            self._ask_at = now + _RETRY_SECONDS
            if not self._publisher.has(next(iter(published))):
                for seen in published.values():
                    seen.publication = None

    def _read(self, token: str, stamp: _Stamp) -> _Seen:
        """Read the file if it changed; withdraw what had another content."""
        seen = self._seen.get(token)
        if seen is None or seen.stamp != stamp:
            try:
                text = read_regular(self._folder / token)
            except PermissionError:
                text = ""
                self._report(f"cannot read {self._folder / token}: {_RIGHTS}")
            if seen is None or seen.text != text:
                self._withdraw({token: seen} if seen else {})
                seen = self._seen[token] = _Seen(stamp, text)
            seen.stamp = stamp
        return seen

    def _find(self) -> Mapping[str, _Stamp]:
        """Return the regular files that are named like tokens; those known while the directory cannot be read."""
        try:
            with os.scandir(self._folder) as entries:
                found = {one.name: stamp_of(one) for one in entries if _is_token_file(one)}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            if isinstance(error, PermissionError) and not self._is_denied:
                self._is_denied = True
                self._report(f"cannot read {self._folder}: {_RIGHTS}")
            return {token: seen.stamp for token, seen in self._seen.items()}
        self._is_denied = False
        return {token: one for token, one in found.items() if one is not None}

    def _publish(self, token: str, seen: _Seen, now: float) -> None:
        try:
            seen.publication = self._publisher.send(
                self._identifier, seen.text, lifetime_seconds=wire.MAX_LIFETIME_SECONDS
            )
            self._report(f"published {token}")
        except PublisherError as error:
            seen.retry_at = now + _RETRY_SECONDS
            if seen.error != str(error):
                seen.error = str(error)
                self._report(f"{token}: {seen.error}")

    def _withdraw(self, gone: Mapping[str, _Seen]) -> None:
        for token, seen in list(gone.items()):
            del self._seen[token]
            if seen.publication is not None:
                try:
                    self._publisher.end(seen.publication)
                    self._report(f"withdrew {token}")
                except ResponderError as error:  # it expires
                    self._report(f"cannot withdraw {token}: {error}")


def _is_token_file(entry: "os.DirEntry[str]") -> bool:
    return wire.is_token(entry.name) and entry.is_file(follow_symlinks=False)


def _is_complete(token: str, text: str) -> bool:
    """Return whether the client has written the whole key authorization."""
    try:
        return parse_key_authorization(text)[0] == token
    except ValueError:
        return False


def stamp_of(entry: "os.DirEntry[str]") -> _Stamp | None:
    """Return None if the file was removed since the directory was read."""
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_regular(path: Path) -> str:
    """Return the text of a regular file; "" if it is gone, or was replaced by a link or a pipe.

    Raises PermissionError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return file.read(_LONGEST).decode("ascii", "replace").strip() if is_regular else ""
