"""Read the members of a JSON object that another machine sent. Texts are made harmless: one line each, and bounded.

Every function raises ValueError, which says what is wrong.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.records import MAX_NUMBER

_T = TypeVar("_T")
LONGEST_NAME: Final = 300
MOST: Final = 10_000
# The end of the year 9999, the last one that `datetime` has.
_LATEST: Final = 253_402_300_799


def member(found: Mapping[str, Any], name: str, kind: type[_T] | tuple[type[_T], ...]) -> _T:
    value = found.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name!r} is missing, or of another type")
    return value


def time(found: Mapping[str, Any], name: str) -> float:
    at = member(found, name, (int, float))
    if not 0 <= at <= _LATEST:
        raise ValueError(f"{name!r} is not a UNIX time in seconds")
    return float(at)


def time_or_none(found: Mapping[str, Any], name: str) -> float | None:
    return None if found.get(name) is None else time(found, name)


def number(found: Mapping[str, Any], name: str) -> int:
    value = member(found, name, int)
    if not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{name!r} is not a number from 0 to {MAX_NUMBER}")
    return value


def number_or_none(found: Mapping[str, Any], name: str) -> int | None:
    return None if found.get(name) is None else number(found, name)


def text(found: Mapping[str, Any], name: str, longest: int = LONGEST_NAME) -> str:
    return one_line(member(found, name, str), longest)


def text_or_none(found: Mapping[str, Any], name: str) -> str | None:
    return None if found.get(name) is None else one_line(member(found, name, str))


def texts(found: Mapping[str, Any], name: str, longest: int = LONGEST_NAME) -> tuple[str, ...]:
    values = member(found, name, list)
    if not all(isinstance(one, str) for one in values):
        raise ValueError(f"{name!r} must be a list of strings")
    return tuple(one_line(one, longest) for one in values)


def texts_if_any(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return none of a node whose version does not report them."""
    return texts(found, name) if name in found else ()


def objects(found: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the members of an object of objects; their names are made harmless, too."""
    members = member(found, name, dict)
    if len(members) > MOST or not all(isinstance(one, dict) for one in members.values()):
        raise ValueError(f"{name!r} must be an object of at most {MOST} objects")
    return [(one_line(key, LONGEST_NAME), one) for key, one in members.items()]
