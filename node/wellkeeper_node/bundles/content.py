"""Read the JSON of bundles, wraps and manifests: objects with exactly the expected members.

Everything raises ValueError, with the mistake.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from wellkeeper_client.records import MAX_NUMBER
from wellkeeper_node.certificates.layout import VERSION
from wellkeeper_node.model import LINEAGE_NAME

_KINDS: Final[Mapping[type, str]] = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}
_SHA256: Final = re.compile("[0-9a-f]{64}")


def parse(text: bytes) -> object:
    """Return the JSON value of these bytes of UTF-8."""
    try:
        return json.loads(text.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def dump(value: object) -> bytes:
    """Return the JSON that `parse` reads."""
    return json.dumps(value, separators=(",", ":")).encode()


def members(found: object, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return the object if it has exactly these members, of exactly these types."""
    if not isinstance(found, dict) or found.keys() != kinds.keys():
        raise ValueError(f"expected an object with the members {', '.join(sorted(kinds))}")
    for name, kind in kinds.items():
        if type(found[name]) is not kind:
            raise ValueError(f"{name!r} must be {_KINDS[kind]}")
    return found


def check_lineage(name: str) -> str:
    if LINEAGE_NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r:.80} is not a certificate name")
    return name


def check_number(number: int) -> int:
    if not 1 <= number <= MAX_NUMBER:
        raise ValueError(f"{number!r:.40} is not a number from 1 to {MAX_NUMBER}")
    return number


def check_archive_name(name: str) -> str:
    if VERSION.fullmatch(name) is None:
        raise ValueError(f"{name!r:.80} is not the name of a version")
    return name


def check_sha256(text: str) -> str:
    if _SHA256.fullmatch(text) is None:
        raise ValueError(f"{text!r:.80} is not SHA-256 in lower-case hexadecimal")
    return text


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Reverse `to_base64url`; other spellings of the same bytes are refused."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error):
        data = b""
    if to_base64url(data) != text:
        raise ValueError("it is not base64url without padding")
    return data
