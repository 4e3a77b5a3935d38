"""What is said about settings that do not hold: key, value and what is allowed, in the words of TOML."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from wellkeeper_issuer.settings.files import Location
from wellkeeper_issuer.settings.tables import (
    CaSettings,
    CertificateSettings,
    HooksSettings,
    LimitSettings,
    NginxSettings,
    NodeSettings,
    NotificationsSettings,
    RehearsalSettings,
)

_TABLES: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    ("nginx",): NginxSettings,
    ("hooks",): HooksSettings,
    ("notifications",): NotificationsSettings,
    ("rehearsal",): RehearsalSettings,
    ("cas",): CaSettings,
    ("cas", "limits"): LimitSettings,
    ("nodes",): NodeSettings,
    ("certificates",): CertificateSettings,
}
_IN_TOML: Final = {
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "model_type": "must be a table",
}


def mistakes(error: ValidationError) -> list[Any]:
    """What pydantic found, without what follows from something else that it found."""
    every = error.errors()
    # That a list is empty without its bad entries is no second mistake.
    return [
        one
        for one in every
        if one["type"] != "too_short" or not any(_is_inside(other["loc"], one["loc"]) for other in every)
    ]


def _is_inside(location: Location, outer: Location) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def key_of(location: Location) -> str:
    """`certificates[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def complaint(location: Location, details: Any, whole: type[BaseModel]) -> str:  # noqa: ANN401 - pydantic_core.ErrorDetails is no public name
    """One mistake in one sentence; `location` is where it stands in its file."""
    key, message = key_of(location), details["msg"].removeprefix("Value error, ")
    match details["type"]:
        case "extra_forbidden":
            tables = tuple(part for part in location[:-1] if isinstance(part, str))
            known = _TABLES[tables] if tables else whole
            return f"unknown key {key!r}; known here: {', '.join(known.model_fields)} (docs/settings.md)"
        case "missing":
            return f"{key} is missing; docs/settings.md says what belongs there"
        case "value_error":
            return f"{key}: {message}"
        case "too_short":
            message = "must have at least one entry"
        case "too_long":
            message = f"must have at most {details['ctx']['max_length']} entries, not {details['ctx']['actual_length']}"
        case kind:
            message = _IN_TOML.get(kind, message.replace("Input should be", "must be"))
    return f"{key} = {_shown(details['input'])}: {message}"


def _shown(value: object) -> str:
    """As TOML has it, for what is short enough to be shown."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value!r:.80}"
