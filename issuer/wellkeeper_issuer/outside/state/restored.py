"""The file in `state_dir` that marks an issuer as restored, until everything is as before the restore. Blocking.

It is hidden, so that no backup has it: each restore writes another one.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Final

from wellkeeper_issuer.ports.fleet import Lost, Restore
from wellkeeper_node import durable

RESTORED: Final = ".restored.json"
_MODE: Final = 0o600


class RestoredFile:
    """Implements `ports.fleet.Restores`. A damaged file counts as that of a restore that was just made."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / RESTORED

    def read(self) -> Restore | None:
        with durable.translated(self._path):
            try:
                return _decode(self._path.read_bytes())
            except FileNotFoundError:
                return None

    def write(self, restore: Restore) -> None:
        with durable.translated(self._path):
            durable.replace_whole(self._path, encode(restore), _MODE)

    def remove(self) -> None:
        with durable.translated(self._path):
            self._path.unlink(missing_ok=True)


def encode(restore: Restore) -> bytes:
    """Return the content of the file."""
    lost = restore.lost
    found = {
        "waits_from": restore.waits_from.isoformat() if restore.waits_from else None,
        "lost": None if lost is None else {name: [one.version, one.number] for name, one in lost.items()},
    }
    return json.dumps(found).encode()


def _decode(content: bytes) -> Restore:
    try:
        found = json.loads(content)
        at, lost = found["waits_from"], found["lost"]
        return Restore(
            datetime.fromisoformat(at) if at else None,
            None if lost is None else {name: Lost(version, int(number)) for name, (version, number) in lost.items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return Restore()
