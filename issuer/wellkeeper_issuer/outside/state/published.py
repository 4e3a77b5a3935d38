"""Remember what is published for other ACME clients, so that another command can withdraw it: a small file per token.

Not in the database, because this needs no ownership of the state; hidden, so that no backup has it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wellkeeper_node import durable

_FOLDER: Final = ".published"


class PublishedTokens:
    """Blocking, but fast. A token must be in the syntax of RFC 8555, because it becomes a file name."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / _FOLDER

    def record(self, token: str, jti: str, expires_at: int, now: int) -> None:
        """Record a publication, and forget those that have expired."""
        durable.make_folder(self._folder, 0o700, durable.Owner())
        with _locked(self._folder):  # a file that another command is writing looks damaged
            for path in self._folder.iterdir():
                found = _read(path)
                if found is None or found[1] <= now:
                    path.unlink(missing_ok=True)
            (self._folder / token).write_text(json.dumps([jti, expires_at]))

    def find(self, token: str) -> str | None:
        """Return the `jti` of what was last published for the token."""
        found = _read(self._folder / token)
        return found[0] if found else None

    def forget(self, token: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / token).unlink()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[str, int] | None:
    try:
        jti, expires_at = json.loads(path.read_bytes())
        return str(jti), int(expires_at)
    except (OSError, ValueError, TypeError):
        return None
