"""The passwords of an engine's two users, in `state_dir`: made here, so that only their digests need be copied.

Blocking, but fast.
"""

import re
import secrets
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_node import durable, presence

_BYTES: Final = 32
_PASSWORD: Final = re.compile(r"[!-~]{8,256}")
_MAKE: Final = "Run 'wellkeeper engine acl', which makes it, or name a file with --password-file."


class EnginePasswords:
    """Two files below `state_dir`, so that a backup has them."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "engine"
        self.issuer = self._folder / "issuer.password"
        self.nodes = self._folder / "nodes.password"

    def make(self) -> tuple[Path, ...]:
        """Create the missing files, and return them; an existing one is never replaced. Raises SettingsError."""
        with key_files.translated(self._folder):
            durable.make_folder(self._folder, 0o700, key_files.OURS)
            made = tuple(path for path in (self.issuer, self.nodes) if not presence.exists(path))
            for path in made:
                durable.create_whole(path, f"{secrets.token_urlsafe(_BYTES)}\n".encode(), 0o600)
            return made


def read_password(path: Path, remedy: str = _MAKE) -> str:
    """Return the password. Raises SettingsError, also for a file that other users may change.

    `remedy` is for a missing one.
    """
    key_files.check_access(path)
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        raise SettingsError("the password of the engine is missing", f"{path} does not exist", remedy) from error
    except UnicodeDecodeError:
        lines = []
    except OSError as error:
        raise SettingsError(f"cannot read {path}", str(error.strerror), "Run the command as root.") from error
    if len(lines) != 1 or not _PASSWORD.fullmatch(lines[0]):
        why = "it must have one line of 8 to 256 ASCII characters without spaces"
        raise SettingsError(f"cannot use {path}", why, "Write only the password there.")
    return lines[0]
