"""The directories through which nginx's agent is asked, in one volume for both or in two (docs/reaching-nginx.md)."""

from collections.abc import Mapping
from os import geteuid
from pathlib import Path
from types import MappingProxyType
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import durable, presence

QUESTIONS: Final = "questions"
ANSWERS: Final = "answers"
# The answers contain nginx's configuration.
_MODES: Final[Mapping[str, int]] = MappingProxyType({QUESTIONS: 0o755, ANSWERS: 0o700})


def make_folders(folder: Path) -> list[Path]:
    """Create what is missing, and return it. Raises OSError, SettingsError if another user owns what exists."""
    paths = {folder / name: mode for name, mode in _MODES.items()}
    missing = [path for path in paths if not presence.is_dir(path)]
    for path, mode in paths.items():
        durable.make_folder(path, mode, durable.Owner())
        _refuse_other_user(path)
    return missing


def _refuse_other_user(path: Path) -> None:
    own, found = geteuid(), path.stat().st_uid
    if found != own:
        raise SettingsError(
            f"cannot use {path}",
            f"it belongs to uid {found}, and nginx's agent must run as the same user as this process, uid {own}",
            f"Mount one volume at {path.parent} instead of two below it, or run 'chown {own} {path}' as root.",
        )
