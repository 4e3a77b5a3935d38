"""Check compact JWS (RFC 7515) signed with EdDSA over Ed25519 (RFC 8037); standard library and cryptography only.

The order keeps strangers cheap: size, form, key id, then the signature, and only then the payload. A message has one
spelling: no padding, no spare bits, no duplicate names.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import wire

# Ours have about 130 characters.
_LONGEST_HEADER: Final = 512
_SIGNATURE_BYTES: Final = 64
_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]+")
_LONGEST_QUOTE: Final = 60


class MessageError(Exception):
    """A message that is refused. `name` is the last part of a problem's type; the text never contains a signature.

    Names: `too-large`, `malformed`, `unknown-key`, `bad-signature`, and of records `version` and `expired`.
    """

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail


def verify(message: bytes, keys: Mapping[str, Ed25519PublicKey], kind: str, longest: int) -> dict[str, Any]:
    """Return the payload of a message with this `typ`, signed with one of the keys, by key id. Raises MessageError."""
    first, second = _dots(message, longest)
    key = _key(_object(_decoded(message[:first], "header"), "header"), keys, kind)
    signature = _decoded(message[second + 1 :], "signature")
    if len(signature) != _SIGNATURE_BYTES:
        raise malformed("the signature must have 64 bytes")
    try:
        key.verify(signature, memoryview(message)[:second])
    except InvalidSignature as error:
        raise MessageError("bad-signature", "the signature does not match the key named by 'kid'") from error
    return _object(_decoded(message[first + 1 : second], "payload"), "payload")


def key_id_of(message: bytes, longest: int) -> str:
    """Return the key id of a message, which nothing has verified; "" without one. Raises MessageError."""
    first, _ = _dots(message, longest)
    kid = _object(_decoded(message[:first], "header"), "header").get("kid")
    return kid if isinstance(kid, str) else ""


def malformed(detail: str) -> MessageError:
    """Return the error of a message whose form is wrong."""
    return MessageError("malformed", detail)


def _dots(message: bytes, longest: int) -> tuple[int, int]:
    """Return where the two dots are; the parts of a long message are not copied before its signature was checked."""
    if len(message) > longest:
        raise MessageError("too-large", f"the message has {len(message)} bytes, at most {longest} are allowed")
    first, second = message.find(b"."), message.rfind(b".")
    if message.count(b".") != 2 or first > _LONGEST_HEADER:
        raise malformed("it is not a compact JWS: expected three parts of base64url without padding")
    return first, second


def _key(header: dict[str, Any], keys: Mapping[str, Ed25519PublicKey], kind: str) -> Ed25519PublicKey:
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise MessageError("unknown-key", "the key in 'kid' is not trusted for this")
    if header.get("typ") != kind:
        raise malformed(f"'typ' is {header.get('typ')!r:.{_LONGEST_QUOTE}}, expected {kind!r}")
    if header.get("alg") != wire.ALGORITHM:
        raise malformed(f"'alg' is {header.get('alg')!r:.{_LONGEST_QUOTE}}, expected {wire.ALGORITHM!r}")
    if len(header) != 3:
        raise malformed("the header must have 'alg', 'kid' and 'typ' only")
    return key


def _decoded(part: bytes, name: str) -> bytes:
    """Decode the only spelling of the bytes."""
    try:
        if _BASE64URL.fullmatch(part):
            found = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
            if base64.urlsafe_b64encode(found).rstrip(b"=") == part:
                return found
    except binascii.Error:
        pass
    raise malformed(f"the {name} is not base64url without padding")


def _object(text: bytes, name: str) -> dict[str, Any]:
    """Read a JSON object in UTF-8 whose members occur once each."""
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise malformed(f"the {name} is not valid JSON: {error!s:.100}") from error
    if not isinstance(found, dict):
        raise malformed(f"the {name} must be a JSON object")
    return found


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate names: readers differ in which of two values they use (RFC 8259 section 4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has a duplicate name")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
