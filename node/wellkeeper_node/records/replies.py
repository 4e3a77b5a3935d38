"""Read what a relay sends. Each function raises KeyError, TypeError, ValueError or MessageError for other shapes."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from wellkeeper_client import relay_wire
from wellkeeper_client.record_state import REMOVALS_BYTES, Page, Stored
from wellkeeper_client.records import MAX_NUMBER, Kind, kind_of

T = TypeVar("T")
Read = Callable[[Mapping[str, Any]], T]

# Versions, leases, instances.
_ID: Final = re.compile("[A-Za-z0-9_-]{1,64}")
# Of what is not a page or a record, and of what surrounds those.
SMALL: Final = 64 * 1024
# A page has at most 512 records, with three members each, and the keys of two thousand removals.
_MOST_PARTS: Final = 4096


def longest_page(kinds: Sequence[Kind] | type[Kind]) -> int:
    """Return the most bytes that a page of these kinds can have: one long record, or several short ones."""
    records = max(relay_wire.PAGE_BYTES, *(kind.longest for kind in kinds))
    return records + REMOVALS_BYTES + SMALL


def decode(body: bytearray, longest: int) -> str:
    """Return the text; "" when it is longer, or would take several times the memory, or its JSON would.

    Of what our relays send, only a short problem has escapes, or other characters than ASCII.
    """
    if len(body) > longest:
        return ""
    if len(body) > SMALL:
        is_plain = body.isascii() and b"\\" not in body
        if not is_plain or sum(map(body.count, (b"{", b"[", b","))) > _MOST_PARTS:
            return ""
    return body.decode("utf-8", "replace")


def parse(text: str) -> Mapping[str, Any]:
    """Return the JSON object, empty when it is not one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def version(body: Mapping[str, Any]) -> str:
    return _id(body["version"])


def record(body: Mapping[str, Any], key: str) -> Stored | None:
    """Return the record under this key, or None if there is none."""
    if body["record"] is None:
        return None
    found = _stored(body["record"])
    if found.key != key:
        raise ValueError(f"it has {found.key!r:.60} instead of {key!r:.60}")
    return found


def lease(body: Mapping[str, Any]) -> str | None:
    return None if body["lease"] is None else _id(body["lease"])


def page(body: Mapping[str, Any], kinds: Sequence[Kind]) -> tuple[str, Page]:
    """Return the instance of the relay, and the changes of these kinds."""
    records, removed = tuple(map(_stored, body["records"])), tuple(map(_text, body["removed"]))
    for key in (*(one.key for one in records), *removed):
        if kind_of(key) not in kinds:
            raise ValueError(f"{key!r:.60} was not asked for")
    is_snapshot, is_whole = _flag(body["is_snapshot"]), _flag(body["is_whole"])
    return _id(body["instance"]), Page(records, removed, _number(body["next"]), is_snapshot, is_whole)


def _stored(found: Mapping[str, Any]) -> Stored:
    expires_at = found["expires_at"]
    if type(expires_at) not in {int, float}:
        raise TypeError("'expires_at' is not a number")
    key, value = _text(found["key"]), _text(found["value"]).encode("ascii")
    if len(value) > kind_of(key).longest:
        raise ValueError(f"{key!r:.60} is longer than such a record can be")
    return Stored(key, value, expires_at)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a string")
    return value


def _id(value: object) -> str:
    if _ID.fullmatch(_text(value)) is None:
        raise ValueError("expected an identifier")
    return str(value)


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError("'next' is not a number of changes")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("expected true or false")
    return value
