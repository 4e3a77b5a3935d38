"""Read the settings' files: the main one, and the drop-ins in the directory beside it in the order of their names.

For `issuer.toml` that directory is `issuer.d`. A drop-in, `issuer.d/*.toml`, may contain only `[[certificates]]`,
`[[nodes]]`, `[[publishers]]`, `account_thumbprints` and, in one file, `[fleet]`: never a command, nor the address of a
CA.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from wellkeeper_client import permissions
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings.syntax import syntax_error
from wellkeeper_node.advice import files as remedies

CERTIFICATES: Final = "certificates"
NODES: Final = "nodes"
PUBLISHERS: Final = "publishers"
ACCOUNTS: Final = "account_thumbprints"
FLEET: Final = "fleet"
# The nginx of this host, which needs no table.
IMPLICIT_NODE: Final = "local"
_TABLES: Final = (CERTIFICATES, NODES, PUBLISHERS)
# The drop-ins' values follow those of the main file.
LISTS: Final = (*_TABLES, ACCOUNTS)
Location = tuple[int | str, ...]

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([\w\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*\]")
_KEY: Final = re.compile(r"\s*([\w\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """One file with its text and values."""

    path: Path
    text: str
    values: dict[str, Any]

    def tables(self, key: str) -> list[Any]:
        """Return the values of one of LISTS; none if they are not a list, which `check` reports."""
        found = self.values.get(key)
        return found if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class Sources:
    """All files of the settings."""

    main: TomlFile
    drop_ins: tuple[TomlFile, ...]

    def merged(self) -> dict[str, Any]:
        """Return the values of all files. Drop-ins with nodes do not replace the implicit one of this host."""
        if not self.drop_ins:
            return self.main.values
        found = dict(self.main.values)
        for key in LISTS:
            if isinstance(found.get(key, []), list) and any(key in file.values for file in self.drop_ins):
                own = found.get(key, [{"name": IMPLICIT_NODE}] if key == NODES and self._has_implicit_node else [])
                found[key] = [*own, *(one for file in self.drop_ins for one in file.tables(key))]
        fleets = [file.values[FLEET] for file in self.drop_ins if FLEET in file.values]
        return found | ({FLEET: fleets[0]} if fleets else {})

    @property
    def _has_implicit_node(self) -> bool:
        return NODES not in self.main.values and self.main.values.get("local_node") is not False

    @property
    def files(self) -> tuple[TomlFile, ...]:
        return (self.main, *self.drop_ins)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the names and contents of all files, to find out whether they changed."""
        found = hashlib.sha256()
        for file in self.files:
            content = file.text.encode()
            found.update(f"{file.path.name}\0{len(content)}\0".encode(errors="surrogateescape") + content)
        return found.hexdigest()

    def place(self, location: Location) -> tuple[TomlFile, Location]:
        """Return the file of a location in the merged values, and the location in that file."""
        match location:
            case (str(key), int(index), *rest) if key in LISTS:
                if key == NODES and self._has_implicit_node:
                    index -= 1
                for file in self.files:
                    if 0 <= index < len(file.tables(key)):
                        return file, (key, index, *rest)
                    index -= len(file.tables(key))
            case ("fleet", *_):
                return next((file for file in self.drop_ins if FLEET in file.values), self.main), location
        return self.main, location

    def name_place(self, location: Location) -> str:
        """Return `FILE:LINE`, or only the file when the line is unknown."""
        file, inside = self.place(location)
        line = find_line(file.text, inside)
        return f"{file.path}:{line}" if line else str(file.path)


def drop_in_folder(path: Path) -> Path:
    """Return the directory of the drop-ins, `issuer.d` for `issuer.toml`."""
    return path.with_suffix(".d")


def read_sources(path: Path) -> Sources:
    """Read the file and its drop-ins. Raises SettingsError for unreadable files, bad TOML and misplaced keys."""
    refuse_shared(path)
    refuse_shared(drop_in_folder(path))
    try:
        main = read_toml(path)
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist", remedy="Run 'wellkeeper init', or name a file with --config or WELLKEEPER_CONFIG."
        ) from None
    drop_ins = tuple(_read_drop_ins(drop_in_folder(path)))
    wrong = [f"{file.path}: {text}" for file in drop_ins for text in _misplaced(file, path)]
    wrong += _repeated([one for one in (main, *drop_ins) if FLEET in one.values])
    if wrong:
        raise SettingsError("\n".join(wrong))
    return Sources(main, drop_ins)


def refuse_shared(path: Path) -> None:
    """Raise SettingsError if other users may change what is there: hooks run with the rights of this process."""
    _refuse(path, permissions.find_fault(path))


def _refuse(path: Path, fault: permissions.Fault | None) -> None:
    if fault is not None:
        raise SettingsError(f"cannot trust {path}", fault.why, fault.remedy)


def read_toml(path: Path) -> TomlFile:
    """Read one file. Raises FileNotFoundError if it does not exist, else SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
        return TomlFile(path, text, tomllib.loads(text))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingsError(f"cannot read {path}", error.strerror or str(error), remedies.of_reading(error)) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8", str(error), "Save the file in UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise syntax_error(path, text, error) from error
    except RecursionError as error:
        why = "it is nested too deeply"
        raise SettingsError(f"cannot read {path}", why, "Write the settings as docs/settings.md shows.") from error


def _read_drop_ins(folder: Path) -> Iterator[TomlFile]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - ten thousand Path objects are slow
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise SettingsError(
            f"cannot read {folder}", error.strerror or str(error), remedies.of_reading(error)
        ) from error
    for name in sorted(names):
        if name.endswith(".toml") and not name.startswith("."):
            path = folder / name
            _refuse(path, permissions.find_fault(path) if path.is_symlink() else permissions.fault_of(path))
            try:
                yield read_toml(path)
            except FileNotFoundError:
                if path.is_symlink():
                    raise SettingsError(
                        f"{path} is a broken symbolic link", remedy="Remove it, or restore its target."
                    ) from None
                # else it was removed since the directory was listed


def _misplaced(file: TomlFile, main: Path) -> list[str]:
    texts = [
        f"{key!r} does not belong here: drop-ins may contain only [[certificates]], [[nodes]], [[publishers]],"
        f" {ACCOUNTS} and [fleet]; move it to {main}"
        for key in file.values
        if key not in {*LISTS, FLEET}
    ]
    texts += [
        f"{key} must be tables; write [[{key}]] with two brackets"
        for key in _TABLES
        if not isinstance(file.values.get(key, []), list)
    ]
    texts += [] if isinstance(file.values.get(ACCOUNTS, []), list) else [f"{ACCOUNTS} must be a list of strings"]
    return texts


def _repeated(files: Sequence[TomlFile]) -> list[str]:
    return [f"{two.path}: [fleet] is in {one.path}, too; keep one of them" for one, two in pairwise(files)]


def find_line(text: str, location: Location) -> int | None:
    """Return the line of the key, or else of the header of its table; None without either."""
    return nearest_line(index_lines(text), location)


def nearest_line(lines: Mapping[Location, int], location: Location) -> int | None:
    """Return the line of the location, or of the nearest table that contains it."""
    parts = range(len(location), 0, -1)
    return next((lines[location[:count]] for count in parts if location[:count] in lines), None)


def index_lines(text: str) -> dict[Location, int]:
    """Return the line, from 1, of each key and of each header.

    It looks for headers and keys at the start of a line: a key in an inline table has the line of that table.
    """
    table: Location = ()
    counts: dict[Location, int] = {}
    found: dict[Location, int] = {}
    for number, line in enumerate(_lines(text), 1):
        if header := _HEADER.match(line):
            table = _enter(_parts(header[2]), counts, is_array=header[1] == "[[")
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_parts(key[1])), number)
    return found


def find_table_lines(text: str, location: Location) -> tuple[int, int] | None:
    """Return the first and last line of a table that has a header; None for any other."""
    first, lines = find_line(text, location), _lines(text)
    if first is None or not _HEADER.match(lines[first - 1]):
        return None
    last = first
    for number in range(first + 1, len(lines) + 1):
        line = lines[number - 1]
        if _HEADER.match(line):
            break
        # Comments between two tables belong to the one below.
        if line.strip() and not line.lstrip().startswith("#"):
            last = number
    return first, last


def _lines(text: str) -> list[str]:
    """Split at line feeds, as TOML and editors do; `splitlines` would also split at U+2028, for example."""
    return text.split("\n")


def _parts(dotted: str) -> Sequence[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _enter(parts: Sequence[str], counts: dict[Location, int], *, is_array: bool) -> Location:
    """Return the location of the table with this header; `counts` has the number of tables per list so far."""
    location: Location = ()
    for number, part in enumerate(parts, 1):
        location = (*location, part)
        if is_array and number == len(parts):
            counts[location] = counts.get(location, 0) + 1
        if location in counts:
            location = (*location, counts[location] - 1)
    return location
