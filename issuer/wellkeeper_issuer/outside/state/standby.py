"""The mark of a standby: a host with the state of an issuer that runs elsewhere, so it must change nothing.

`restore --standby` writes the file together with the state, and `promote` removes it.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.advice.state import cause_and_remedy
from wellkeeper_issuer.errors import JournalError
from wellkeeper_node import durable, presence
from wellkeeper_node.wording import format_time

# The file in state_dir.
MARK: Final = "standby.json"
PROMOTE: Final = "promote"
# Hidden, so that no backup has it.
_WATCH: Final = ".watch.json"
_WATCHES_WITHIN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Standby:
    """A standby for the issuer on `host`, whose backup was made at `backup_at`."""

    host: str
    backup_at: datetime

    def to_bytes(self) -> bytes:
        return json.dumps({"host": self.host, "backup_at": self.backup_at.isoformat()}).encode()

    @property
    def line(self) -> str:
        """Say it in one line."""
        return f"this host is a standby for the issuer on {self.host}, from its backup of {format_time(self.backup_at)}"


def read_standby(state_dir: Path) -> Standby | None:
    """Return the standby that this state_dir is; None for the one of an issuer. Raises JournalError."""
    path = state_dir / MARK
    try:
        found = json.loads(path.read_bytes())
        return Standby(found["host"], datetime.fromisoformat(found["backup_at"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise JournalError(f"cannot read {path}", *cause_and_remedy(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(f"cannot use {path}", repr(error), "Run 'wellkeeper restore --standby' again.") from error


@dataclass(frozen=True, slots=True)
class Watch:
    """The reason why a standby that watches the lease did not take over when it looked last.

    `is_expected` if it is that an issuer works, or was lost a moment ago.
    """

    looked_at: datetime
    why: str
    is_expected: bool

    def to_json(self) -> dict[str, Any]:
        at = self.looked_at.isoformat(timespec="seconds")
        return {"looked_at": at, "why": self.why, "is_expected": self.is_expected}


def write_watch(state_dir: Path, watch: Watch) -> None:
    """Let `status` show it. Raises OSError."""
    durable.replace_whole(state_dir / _WATCH, json.dumps(watch.to_json()).encode(), 0o600)


def read_watch(state_dir: Path, now: datetime) -> Watch | None:
    """Return the last look; None if nothing has looked lately, or it cannot be read."""
    try:
        found = json.loads((state_dir / _WATCH).read_bytes())
        watch = Watch(datetime.fromisoformat(found["looked_at"]), str(found["why"]), bool(found["is_expected"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return watch if abs(now - watch.looked_at) <= _WATCHES_WITHIN else None


def refuse_standby(state_dir: Path) -> None:
    """Raise JournalError on a standby: only its issuer may order, publish, sign and change settings."""
    try:
        is_marked = presence.exists(state_dir / MARK)
    except PermissionError:
        return  # a user who may not look into state_dir cannot use it either, as the command then says
    if is_marked and (found := read_standby(state_dir)):
        what, _, why = found.line.rpartition(", ")
        raise JournalError(what, why, "Run 'wellkeeper promote' if that issuer is lost.")


def remove_mark(state_dir: Path) -> None:
    """Make this state_dir that of an issuer, durably. Idempotent. Raises OSError."""
    (state_dir / _WATCH).unlink(missing_ok=True)
    (state_dir / MARK).unlink(missing_ok=True)
    durable.sync(state_dir)
