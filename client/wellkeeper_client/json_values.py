"""JSON with one spelling, and the checks of what strangers send. Each check raises ValueError."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any


def canonical(members: Mapping[str, Any]) -> bytes:
    """Return the only spelling: names sorted, no spaces, ASCII."""
    return json.dumps(members, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def parse_object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not valid JSON") from error
    if not isinstance(found, dict):
        raise ValueError("it must be a JSON object")
    return found


def parse_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string")
    return value


def parse_texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list of strings")
    return tuple(parse_text(one, name) for one in value)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("it is not base64url") from error
