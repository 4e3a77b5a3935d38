"""The effective value of every key, and where it comes from: the default, or a line of a file."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.certificate_table import SET_BY_CSR
from wellkeeper_issuer.settings.files import CERTIFICATES, Location, Sources, TomlFile, index_lines, nearest_line
from wellkeeper_issuer.settings.schema import table_model
from wellkeeper_issuer.settings.secrets import mask_command, mask_texts, mask_url, mask_webhook

# Keys of tables that come from the top level when they are not set.
_INHERITED: Final = {("certificates", "ca"): "ca", ("cas", "bundle"): "ca_bundle"}
_WITH_WEBHOOKS: Final = frozenset({"notifications", "heartbeat"})


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a value; without a path it is the default."""

    path: Path | None = None
    line: int | None = None
    is_drop_in: bool = False

    def __str__(self) -> str:
        if self.path is None:
            return "default"
        return f"{self.path}:{self.line}" if self.line else str(self.path)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key; `table` is its table in the merged settings, `parts` are the parts of its name, `certificates.web.ca`.

    The value is that of TOML, with secrets masked; None when the key is not set.
    """

    table: Location
    parts: tuple[str, ...]
    value: Any
    origin: Origin
    is_masked: bool

    def is_below(self, name: str) -> bool:
        """Return true for the name of the key, or of a table that it belongs to."""
        return name in self.names()

    def names(self) -> list[str]:
        return [".".join(self.parts[:count]) for count in range(1, len(self.parts) + 1)]


class _Origins:
    """Finds lines; reads each file once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        # As `Sources.place`, but at once for ten thousand certificates.
        self._certificates = [
            (file, index) for file in sources.files for index in range(len(file.tables(CERTIFICATES)))
        ]
        self._lines: dict[Path, dict[Location, int]] = {}

    def find(self, location: Location) -> Origin:
        file, inside = self._place(location)
        if file.path not in self._lines:
            self._lines[file.path] = index_lines(file.text)
        line = nearest_line(self._lines[file.path], inside)
        return Origin(file.path, line, is_drop_in=file is not self._sources.main)

    def _place(self, location: Location) -> tuple[TomlFile, Location]:
        match location:
            case ("certificates", int(index), *rest):
                file, index = self._certificates[index]
                return file, (CERTIFICATES, index, *rest)
        return self._sources.place(location)


@dataclass(frozen=True, slots=True)
class InEffect:
    """One key; `value` as in `Entry`. Without `is_set`, it is the default."""

    name: str
    value: Any
    is_set: bool

    @property
    def written(self) -> str:
        return "not set" if self.value is None else json.dumps(self.value, ensure_ascii=False)


def in_effect(settings: Settings) -> list[InEffect]:
    """Return every key without those of certificates, with secrets masked, whatever the files say by now."""
    found = _in_effect(settings.model_copy(update={CERTIFICATES: ()}))
    return [one for location, one in found if location[0] != CERTIFICATES]


def in_effect_of(settings: Settings, name: str) -> list[InEffect]:
    """Return every key of the certificate with this name, in the same way; its CAs may be those of the top level."""
    only = tuple(one for one in settings.certificates if one.name == name)
    found = _in_effect(settings.model_copy(update={CERTIFICATES: only}))
    return [replace(one, name=str(location[-1])) for location, one in found if location[0] == CERTIFICATES]


def _in_effect(settings: Settings) -> Iterator[tuple[Location, InEffect]]:
    values, given = settings.model_dump(mode="json"), settings.model_dump(mode="json", exclude_unset=True)
    for location, parts, value in _walk(Settings, values, (), ()):
        above = _INHERITED.get((parts[0], parts[-1])) if len(location) > 1 and not value else None
        shown = _masked(location, values[above] if above else value)
        yield location, InEffect(".".join(parts), shown, _is_given(given, location))


def effective(settings: Settings, sources: Sources) -> list[Entry]:
    """Return every key in the order of the models: of each table first the values, then the tables below it."""
    origins = _Origins(sources)
    values, given = settings.model_dump(mode="json"), sources.merged()
    top = {key: origins.find((key,)) if key in given else Origin() for key in values}
    found = []
    for location, parts, value in _walk(Settings, values, (), ()):
        source, origin = value, origins.find(location) if _is_given(given, location) else Origin()
        above = _INHERITED.get((parts[0], parts[-1])) if len(location) > 1 and not value else None
        if above:
            source, origin = values[above], top[above]
        shown = _masked(location, source)
        found.append(Entry(location[:-1], parts, shown, origin, is_masked=shown != source))
    return found


def _walk(
    model: type[BaseModel], values: Mapping[str, Any], location: Location, parts: tuple[str, ...]
) -> Iterator[tuple[Location, tuple[str, ...], Any]]:
    """Yield location, parts of the name, and value."""
    tables = {}
    for key, field in model.model_fields.items():
        value, below = values[key], table_model(field.annotation)
        if below and value:
            tables[key] = below
        else:
            is_unset = key in SET_BY_CSR and values.get("csr")
            yield (*location, key), (*parts, key), None if is_unset else value
    for key, below in tables.items():
        if isinstance(values[key], list):
            for index, one in enumerate(values[key]):
                yield from _walk(below, one, (*location, key, index), (*parts, key, one.get("name", str(index))))
        else:
            yield from _walk(below, values[key], (*location, key), (*parts, key))


def _is_given(given: Any, location: Location) -> bool:  # noqa: ANN401 - what TOML gave
    for part in location:
        try:
            given = given[part]
        except (KeyError, IndexError):
            return False
    return True


def _masked(location: Location, value: Any) -> Any:  # noqa: ANN401 - any TOML
    if location[-1] in {"headers", "body"} and location[0] == "notifications":
        return mask_texts(value)
    if isinstance(value, list) and location[0] in {"hooks", "nginx"}:
        return mask_command(value)
    if isinstance(value, list):
        return [mask_url(one) for one in value]
    if isinstance(value, str):
        return mask_webhook(value) if location[0] in _WITH_WEBHOOKS else mask_url(value)
    return value
