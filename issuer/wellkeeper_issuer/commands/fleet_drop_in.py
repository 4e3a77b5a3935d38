"""The drop-in `fleet.toml`, which `fleet listen` and `engine use` write; a [fleet] elsewhere is the administrator's."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings.files import FLEET, Sources, TomlFile, drop_in_folder
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_node import durable, presence

_COMMENT: Final = "Written by 'wellkeeper fleet listen' and 'wellkeeper engine use'."
_NAME: Final = "fleet.toml"


@dataclass(frozen=True, slots=True)
class DropIn:
    """The drop-in beside the settings file `settings` with this table [fleet]."""

    settings: Path
    table: Mapping[str, Any] = field(repr=False)

    @property
    def path(self) -> Path:
        return drop_in_folder(self.settings) / _NAME

    @property
    def contents(self) -> dict[Path, str]:
        return {self.path: to_toml(_COMMENT, {FLEET: dict(self.table)})} if self.table else {}

    def among(self, sources: Sources) -> Sources:
        """Return the files of the settings with this one in place of its former text."""
        others = tuple(file for file in sources.drop_ins if file.path != self.path)
        return Sources(sources.main, (*others, TomlFile(self.path, "", {FLEET: dict(self.table)})))


def find(path: Path, sources: Sources) -> tuple[Mapping[str, Any], TomlFile | None]:
    """Return the table in the drop-in, empty without one, and another file with such a table; `path` as in DropIn."""
    ours = DropIn(path, {}).path
    tables = {file.path: file for file in sources.files if FLEET in file.values}
    mine = tables.pop(ours, None)
    return (mine.values[FLEET] if mine else {}), next(iter(tables.values()), None)


def not_ours(file: TomlFile, remedy: str) -> SettingsError:
    return SettingsError(f"cannot change [fleet] in {file.path}", "this command changes only its own file", remedy)


def write(contents: Mapping[Path, str]) -> list[Path]:
    """Write the files that change, all or none, and return them. Raises SettingsError with all their lines."""
    try:
        changed = {path: text for path, text in contents.items() if not _has(path, text)}
        for path in changed:
            _check_writable(path)
        for path, text in changed.items():
            durable.make_folder(path.parent, 0o755, durable.Owner())
            durable.replace_whole(path, text.encode(), 0o644)
    except OSError as error:
        lines = "; ".join(f"into {path}: {' '.join(text.splitlines()[1:])}" for path, text in contents.items())
        remedy = f"Run the command as root, or write this yourself and run it again: {lines}"
        raise SettingsError(f"cannot write {error.filename}", str(error.strerror), remedy) from error
    return list(changed)


def _has(path: Path, text: str) -> bool:
    return presence.exists(path) and path.read_text() == text


def _check_writable(path: Path) -> None:
    """Raise OSError if the file cannot be replaced: another one must not be written before that is known."""
    folder = next(one for one in path.parents if presence.exists(one))
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        number = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(number, os.strerror(number), str(path))
