"""Remember what is published for other ACME clients, so that another command can withdraw it: a small file per token.

Not in the database, because this needs no ownership of the state; hidden, so that no backup has it.
"""

import contextlib
import json
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


def _read(path: Path) -> tuple[str, int] | None:
    try:
        jti, expires_at = json.loads(path.read_bytes())
        return str(jti), int(expires_at)
    except (OSError, ValueError, TypeError):
        return None
