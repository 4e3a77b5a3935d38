"""Check messages that were signed with the publishing keys that a responder trusts.

Size and key id are checked before the signature, everything else after it, including what PyJWT accepts: a wrong `typ`,
a missing claim, a list as `aud`. Contract: docs/design/0001-wire.md.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import wire
from wellkeeper_client.publishers import Publisher
from wellkeeper_client.signing import Permit, Publication, Withdrawal, decode_public_key, key_id
from wellkeeper_client.wire import WireError

_CLAIMS: Final[Mapping[str, frozenset[str]]] = {
    wire.PUBLISH_TYPE: frozenset({"aud", "token", "thumbprint", "identifier", "jti", "iat", "exp"}),
    wire.WITHDRAW_TYPE: frozenset({"aud", "token", "publication_jti", "iat", "exp"}),
    wire.READ_TYPE: frozenset({"aud", "iat", "exp"}),
}


class PublishingKeys:
    """The public keys that a responder trusts: the issuer's, two during a rotation, and those of publishers."""

    def __init__(self, keys: Iterable[Ed25519PublicKey], publishers: Iterable[Publisher] = ()) -> None:
        self._keys: Mapping[str, Ed25519PublicKey] = {}
        self._publishers: Mapping[str, str] = {}
        self.replace(keys, publishers)

    def replace(self, keys: Iterable[Ed25519PublicKey], publishers: Iterable[Publisher] = ()) -> None:
        """Trust these keys instead, from the next message on. A key that occurs twice counts as the publisher's."""
        named = [(one.name, decode_public_key(key)) for one in publishers for key in one.publishing_keys]
        self._publishers = {key_id(key): name for name, key in named}
        self._keys = {key_id(key): key for key in (*keys, *(key for _, key in named))}

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Return the ids of the issuer's keys."""
        return tuple(one for one in self._keys if one not in self._publishers)

    def publisher_of(self, message: bytes) -> str:
        """Return the name of the publisher whose key signed this checked message; "" for the issuer's."""
        return self._publishers.get(str(_header(message).get("kid")), "")

    def check_publication(self, message: bytes, now: float) -> Publication:
        """Return the publication; `now` is UNIX time. Raises WireError: 413 size, 400 form, 401 key, time."""
        claims = self._check(message, wire.PUBLISH_TYPE, now)
        _match(claims, "token", wire.TOKEN_PATTERN)
        _match(claims, "thumbprint", wire.THUMBPRINT_PATTERN)
        _match(claims, "jti", wire.JTI_PATTERN)
        _match(claims, "identifier", wire.IDENTIFIER_PATTERN)
        return Publication(
            token=claims["token"],
            thumbprint=claims["thumbprint"],
            identifier=claims["identifier"],
            jti=claims["jti"],
            issued_at=claims["iat"],
            expires_at=claims["exp"],
        )

    def check_withdrawal(self, message: bytes, now: float) -> Withdrawal:
        """Return the withdrawal, as `check_publication` does."""
        claims = self._check(message, wire.WITHDRAW_TYPE, now)
        _match(claims, "token", wire.TOKEN_PATTERN)
        _match(claims, "publication_jti", wire.JTI_PATTERN)
        return Withdrawal(claims["token"], claims["publication_jti"], claims["iat"], claims["exp"])

    def check_permit(self, message: bytes, now: float, *, is_for_token: bool = False) -> Permit:
        """Return the permit, as `check_publication` does; 403 for a publisher, who may read single tokens only."""
        claims = self._check(message, wire.READ_TYPE, now)
        if not is_for_token and (publisher := self.publisher_of(message)):
            raise WireError(403, "not-allowed", f"the key of publisher {publisher} only publishes and withdraws tokens")
        return Permit(claims["iat"], claims["exp"])

    def _check(self, message: bytes, expected_type: str, now: float) -> dict[str, Any]:
        if len(message) > wire.MAX_MESSAGE_BYTES:
            raise WireError(413, "too-large", f"a message may have at most {wire.MAX_MESSAGE_BYTES} bytes")
        header = _header(message)
        key = self._keys.get(str(header.get("kid")))
        if key is None:
            raise WireError(
                401,
                "unknown-key",
                "this responder does not trust the publishing key in 'kid'; add it to its trust file ('wellkeeper trust"
                " --write')",
            )
        _check_header(header, expected_type)
        claims = _verified(message, key)
        _check_claims(claims, expected_type)
        _check_times(claims["iat"], claims["exp"], now)
        return claims


def _header(message: bytes) -> dict[str, Any]:
    """Read the header of a compact JWS (RFC 7515 section 7.1), which has one spelling only."""
    parts = message.split(b".")
    if len(parts) != 3 or not all(map(_is_base64url, parts)):
        raise _malformed("the body is not a compact JWS: expected three parts of base64url without padding")
    return _object(_decoded(parts[0]), "header")


def _is_base64url(part: bytes) -> bool:
    """Return whether this is the one spelling of its bytes: no padding, no spare bits, no other alphabet."""
    try:
        return base64.urlsafe_b64encode(_decoded(part)).rstrip(b"=") == part
    except ValueError:
        return False


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _object(text: bytes, name: str) -> dict[str, Any]:
    """Read a JSON object in UTF-8 whose members occur once each."""
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique_names)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"the {name} is not valid JSON: {error!s:.100}") from error
    if not isinstance(found, dict):
        raise _malformed(f"the {name} must be a JSON object")
    return found


def _check_header(header: dict[str, Any], expected_type: str) -> None:
    if header.get("typ") != expected_type:
        raise _malformed(f"'typ' is {header.get('typ')!r:.60}, expected {expected_type!r}")
    if header.get("alg") != wire.ALGORITHM:
        raise _malformed(f"'alg' is {header.get('alg')!r:.60}, expected {wire.ALGORITHM!r}")
    extra = header.keys() - {"typ", "alg", "kid"}
    if extra:
        raise _malformed(f"unexpected header parameters: {', '.join(sorted(extra)):.100}")


def _verified(message: bytes, key: Ed25519PublicKey) -> dict[str, Any]:
    try:
        payload = jwt.PyJWS().decode(message, key, algorithms=[wire.ALGORITHM])
    except jwt.InvalidTokenError as error:
        raise WireError(401, "bad-signature", "the signature does not match the key named by 'kid'") from error
    return _object(payload, "payload")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate names: readers differ in which of two values they use (RFC 8259 section 4)."""
    claims = dict(pairs)
    if len(claims) != len(pairs):
        raise ValueError("it has a duplicate name")
    return claims


def _check_claims(claims: dict[str, Any], expected_type: str) -> None:
    expected = _CLAIMS[expected_type]
    if claims.keys() != expected:
        missing = ", ".join(sorted(expected - claims.keys())) or "none"
        extra = ", ".join(sorted(claims.keys() - expected)) or "none"
        raise _malformed(f"the claims must be {', '.join(sorted(expected))}; missing: {missing}; unknown: {extra:.100}")
    for name in expected:
        wanted = int if name in {"iat", "exp"} else str
        if type(claims[name]) is not wanted:
            raise _malformed(f"claim {name!r} must be {'an integer' if wanted is int else 'a string'}")
    if claims["aud"] != wire.AUDIENCE:
        raise _malformed(f"claim 'aud' must be {wire.AUDIENCE!r}")


def _check_times(issued_at: int, expires_at: int, now: float) -> None:
    if not 0 <= issued_at <= wire.MAX_TIME:
        raise _malformed("'iat' must be a UNIX time in seconds")
    lifetime = expires_at - issued_at
    if not 0 < lifetime <= wire.MAX_LIFETIME_SECONDS:
        raise _malformed(f"'exp' - 'iat' is {lifetime} s, expected 1 to {wire.MAX_LIFETIME_SECONDS}")
    if issued_at - now > wire.MAX_CLOCK_SKEW_SECONDS:
        raise WireError(
            401,
            "clock",
            f"'iat' is {issued_at - now:.0f} s ahead of the responder's clock; set both clocks by NTP",
        )
    if now - expires_at > wire.MAX_CLOCK_SKEW_SECONDS:
        raise WireError(
            401, "expired", f"'exp' was {now - expires_at:.0f} s ago by the responder's clock; sign a new message"
        )


def _match(claims: dict[str, Any], name: str, pattern: re.Pattern[str]) -> None:
    if pattern.fullmatch(claims[name]) is None:
        raise _malformed(f"claim {name!r} must match {pattern.pattern}")


def _malformed(detail: str) -> WireError:
    return WireError(400, "malformed", detail)
