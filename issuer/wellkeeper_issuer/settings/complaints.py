"""Describe mistakes in the settings: key, value and what is allowed, in the words of TOML."""

import json
import shlex
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from wellkeeper_issuer.settings.ca_tables import CaSettings, LimitSettings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.files import Location
from wellkeeper_issuer.settings.notification_tables import (
    HeartbeatSettings,
    MailSettings,
    NotificationsSettings,
    WebhookSettings,
)
from wellkeeper_issuer.settings.tables import (
    HooksSettings,
    NginxSettings,
    NodeSettings,
    RehearsalSettings,
)
from wellkeeper_issuer.settings.values import UNNAMED

_TABLES: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    ("nginx",): NginxSettings,
    ("hooks",): HooksSettings,
    ("notifications",): NotificationsSettings,
    ("notifications", "webhooks"): WebhookSettings,
    ("notifications", "mail"): MailSettings,
    ("heartbeat",): HeartbeatSettings,
    ("rehearsal",): RehearsalSettings,
    ("cas",): CaSettings,
    ("cas", "limits"): LimitSettings,
    ("nodes",): NodeSettings,
    ("certificates",): CertificateSettings,
}
_WORDS: Final = {
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "model_type": "must be a table",
}
_BOUNDS: Final = {"ge": "at least", "le": "at most", "gt": "greater than", "lt": "less than"}
_RANGES: Final = frozenset({"greater_than_equal", "less_than_equal", "greater_than", "less_than"})
_EXAMPLES: Final = {
    "identifiers": 'identifiers = ["www.example.org"]',
    "name": 'name = "web1"',
    "url": 'url = "https://chat.example.org/hooks/…"',
    "server": 'server = "mail.example.org:587"',
    "sender": 'sender = "wellkeeper@example.org"',
    "recipients": 'recipients = ["admin@example.org"]',
    "directory": 'directory = "https://ca.example.org/directory"',
    "spent": 'spent = "order"',
    "scope": 'scope = "account"',
    "count": "count = 300",
    "seconds": "seconds = 10800",
}
# The most known keys in a message, when none is close to the unknown one.
_SHOWN_KEYS: Final = 8


def mistakes(error: ValidationError) -> list[Any]:
    """Return the mistakes that pydantic found, without those that only follow from another one."""
    every = error.errors()
    # A list that is empty only because its entries are bad is not a second mistake.
    return [
        one
        for one in every
        if one["type"] != "too_short" or not any(_is_inside(other["loc"], one["loc"]) for other in every)
    ]


def _is_inside(location: Location, outer: Location) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def key_of(location: Location) -> str:
    """Return the key as messages show it: `certificates[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def complaint(location: Location, details: Any, whole: type[BaseModel]) -> str:  # noqa: ANN401 - pydantic_core.ErrorDetails is not public
    """Describe one mistake in one sentence; `location` is where it is in its file."""
    key, message = key_of(location), details["msg"].removeprefix("Value error, ")
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(location, _table(location, whole))
        case "missing":
            return _missing(location, details["input"])
        case "value_error":
            return f"{key}: {message}"
        case "tuple_type":
            return f"{key} must be a list: {location[-1]} = {_as_list(location, details['input'])}"
        case "too_short":
            message = "must have at least one entry"
        case "too_long":
            message = f"must have at most {details['ctx']['max_length']} entries, not {details['ctx']['actual_length']}"
        case kind if kind in _RANGES:
            return f"{key} must be {_range(location, details['ctx'], whole)}, not {details['input']}"
        case kind:
            message = _WORDS.get(kind, message.replace("Input should be", "must be"))
    return f"{key} = {_shown(details['input'])}: {message}"


def _table(location: Location, whole: type[BaseModel]) -> type[BaseModel]:
    tables = tuple(part for part in location[:-1] if isinstance(part, str))
    return _TABLES.get(tables, whole)


def _unknown_key(location: Location, table: type[BaseModel]) -> str:
    known = list(table.model_fields)
    start = f"unknown key {key_of(location)!r}"
    key = str(location[-1])
    close = get_close_matches(key, known, n=1) or [one for one in known if one.startswith(f"{key}_")]
    if close:
        return f"{start}. Did you mean {close[0]!r}?"
    rest = " and others (docs/settings.md)" if len(known) > _SHOWN_KEYS else ""
    return f"{start}; known keys here: {', '.join(known[:_SHOWN_KEYS])}{rest}"


def _missing(location: Location, table: object) -> str:
    key, names = str(location[-1]), [part for part in location if isinstance(part, str)][:-1]
    number = next((part + 1 for part in reversed(location) if isinstance(part, int)), 0)
    name = table.get("name") if isinstance(table, Mapping) else None
    named = f" ({name!r})" if isinstance(name, str) and name != UNNAMED else ""
    return f"[[{'.'.join(names)}]] number {number}{named} has no {key}; add {_EXAMPLES[key]}"


def _as_list(location: Location, value: object) -> str:
    """Return what the user probably meant, as TOML."""
    if isinstance(value, str) and location[0] in {"nginx", "hooks"} and "address" not in str(location[-1]):
        try:
            return json.dumps(shlex.split(value), ensure_ascii=False)
        except ValueError:  # unbalanced quotes
            pass
    return json.dumps([value], ensure_ascii=False, default=str)


def _range(location: Location, violated: Mapping[str, float], whole: type[BaseModel]) -> str:
    field = _table(location, whole).model_fields.get(str(location[-1]))
    bounds = dict(_bounds(field.metadata)) if field else {}
    if "ge" in bounds and "le" in bounds:
        return f"between {bounds['ge']} and {bounds['le']}"
    return next(f"{words} {violated[bound]:g}" for bound, words in _BOUNDS.items() if bound in violated)


def _bounds(metadata: list[Any]) -> Iterator[tuple[str, float]]:
    for one in metadata:
        for bound in _BOUNDS:
            if (value := getattr(one, bound, None)) is not None:
                yield bound, value


def _shown(value: object) -> str:
    """Return the value as in TOML, shortened to 80 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value!r:.80}"
