"""Seeded replies of a peer that is hostile: wrong structure, types, depth, sizes, encodings, cut short."""

import json
import random
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from tests.hostile import HOSTILE
from wellkeeper_node.errors import WellkeeperError

# Every address is on this host, where nothing listens, or not usable.
_TEXTS: Final = (
    *("", " ", HOSTILE, "\ud800", "x" * 100_000, "\u202e", "valid", "invalid", "pending", "ready", "dns", "a.example"),
    *("https://127.0.0.1:1/x", "http://127.0.0.1:1/", "https://[::1]:99999/", "file:///etc/passwd", "//x", "https://"),
    *("https://a:b@127.0.0.1:1/", "https://127.0.0.1:1/\n", "../..", "0", "token" * 10, "2026-01-01T00:00:00Z"),
)
_NUMBERS: Final = (0, -1, 1.5, 2**63, 10**400, True, False, None, float("inf"), float("nan"))
_DEEP: Final = "[" * 10_000 + "]" * 10_000


def any_value(chance: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
    kind = chance.randrange(6 if depth < 4 else 2)
    if kind in {0, 4}:
        return chance.choice(_TEXTS)
    if kind == 1:
        return chance.choice(_NUMBERS)
    if kind == 5:
        return [any_value(chance, 4)] * 5_000
    values = [any_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return values if kind == 2 else {chance.choice(_TEXTS[:7]): value for value in values}


def changed(value: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """Return the value with one part replaced or missing."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.2:
        return any_value(chance)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found, key = value.copy(), chance.choice(list(keys))
    if chance.random() < 0.3:
        del found[key]
    else:
        found[key] = changed(found[key], chance)
    return found


def any_body(usual: Any, chance: random.Random) -> str:  # noqa: ANN401 - any JSON
    """Return a body, most often the usual one with one change."""
    kind = chance.randrange(12)
    text = usual if isinstance(usual, str) else json.dumps(usual)
    if kind == 0:
        return chance.randbytes(chance.randrange(300)).decode(errors="surrogateescape")
    if kind == 1:
        return text[: chance.randrange(len(text) + 1)]
    if kind == 2:
        return chance.choice((_DEEP, f'{{"a": {_DEEP}}}', "1e999", "\ufeff" + text, f"<html>{HOSTILE}", "[]", "null"))
    if kind == 3:
        return text + " " * 2_000_000
    return text if isinstance(usual, str) else json.dumps(changed(usual, chance))


def check_error(error: WellkeeperError) -> None:
    """It is on printable, bounded lines, and can be stored."""
    assert str(error).isprintable(), repr(error)
    assert len(str(error)) < 6_100
    assert str(error).encode()


def check_texts(value: object) -> None:
    """Every text in the value is printable and bounded."""
    if isinstance(value, str) and not isinstance(value, Enum):
        assert value.isprintable(), repr(value)
        assert len(value) <= 2_100
    elif is_dataclass(value):
        for one in fields(value):
            check_texts(getattr(value, one.name))
    elif isinstance(value, tuple):
        for inner in value:
            check_texts(inner)
