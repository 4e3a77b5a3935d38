"""Parse JSON of a CA within bounds: depth, numbers, and size before that. Raises ReplyError."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final


class ReplyError(Exception):
    """The CA's reply cannot be used; never leaves this package."""


class UrlError(ReplyError):
    """The CA named a URL that is not used. `remedy` is a full sentence."""

    def __init__(self, why: str, remedy: str = "Report this to the CA.") -> None:
        super().__init__(why)
        self.remedy = remedy


# A problem document with subproblems has four levels.
_DEEPEST: Final = 20


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Return a JSON object, whose members the caller checks."""
    value = _parse(body)
    if not isinstance(value, dict):
        raise ReplyError(f"it is not a JSON object but a {type(value).__name__}")
    return value


def _parse(body: bytes) -> object:
    try:
        value = json.loads(body, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ReplyError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise ReplyError(f"it is not JSON: {error}") from error
    _check_depth(value)
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text:.40} is out of range")
    return number


def _check_depth(value: object) -> None:
    """Walk level by level: recursion would fail where a deep value is printed, too."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return
    raise ReplyError("its JSON is nested too deeply")


def _inner(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
