"""Define and sign the messages that an issuer sends to a responder.

A message is a compact JWS (RFC 7515), EdDSA with Ed25519 (RFC 8037). Contract: docs/design/0001-wire.md.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wellkeeper_client import wire
from wellkeeper_client.json_values import encode


@dataclass(frozen=True, slots=True)
class Publication:
    """A token that the responder answers for one account during its lifetime. Times are UNIX seconds."""

    token: str
    thumbprint: str
    identifier: str
    jti: str
    issued_at: int
    expires_at: int

    @property
    def lifetime_seconds(self) -> int:
        return self.expires_at - self.issued_at

    @property
    def key_authorization(self) -> str:
        """The text that the CA must read (RFC 8555 section 8.1)."""
        return wire.key_authorization(self.token, self.thumbprint)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Ends only the publication with this `jti`, even if its token has been published again."""

    token: str
    publication_jti: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Permit:
    """Allows its holder to read the responder's status and fetches over TCP."""

    issued_at: int
    expires_at: int


def key_id(key: Ed25519PublicKey) -> str:
    """Return the RFC 7638 thumbprint of the key as an OKP JWK (RFC 8037 section 2)."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{encode_public_key(key)}"}}'
    return encode(hashlib.sha256(canonical.encode()).digest())


def encode_public_key(key: Ed25519PublicKey) -> str:
    """Return base64url of the 32 raw bytes, as `--publishing-key` takes it."""
    return encode(key.public_bytes_raw())


def decode_public_key(text: str) -> Ed25519PublicKey:
    """Reverse `encode_public_key`; raises ValueError."""
    if re.fullmatch("[A-Za-z0-9_-]{43}", text) is None:
        raise ValueError("expected 43 characters of base64url, the 32 raw bytes of an Ed25519 public key")
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text + "="))


def sign_publication(publication: Publication, key: Ed25519PrivateKey) -> str:
    """Return the message for `PUT /v1/tokens/TOKEN`."""
    claims = {
        "token": publication.token,
        "thumbprint": publication.thumbprint,
        "identifier": publication.identifier,
        "jti": publication.jti,
    }
    return _sign(wire.PUBLISH_TYPE, claims, (publication.issued_at, publication.expires_at), key)


def sign_withdrawal(withdrawal: Withdrawal, key: Ed25519PrivateKey) -> str:
    """Return the message for `DELETE /v1/tokens/TOKEN`."""
    claims = {"token": withdrawal.token, "publication_jti": withdrawal.publication_jti}
    return _sign(wire.WITHDRAW_TYPE, claims, (withdrawal.issued_at, withdrawal.expires_at), key)


def sign_permit(permit: Permit, key: Ed25519PrivateKey) -> str:
    """Return the message for `Authorization: Bearer`."""
    return _sign(wire.READ_TYPE, {}, (permit.issued_at, permit.expires_at), key)


def sign_claims(kind: str, claims: Mapping[str, object], key: Ed25519PrivateKey) -> str:
    """Return a compact JWS of the claims; `kind` is its `typ`."""
    header = {"alg": wire.ALGORITHM, "kid": key_id(key.public_key()), "typ": kind}
    signing_input = f"{_part(header)}.{_part(claims)}"
    return f"{signing_input}.{encode(key.sign(signing_input.encode()))}"


def _sign(kind: str, claims: dict[str, str], times: tuple[int, int], key: Ed25519PrivateKey) -> str:
    return sign_claims(kind, {"aud": wire.AUDIENCE, **claims, "iat": times[0], "exp": times[1]}, key)


def _part(part: Mapping[str, object]) -> str:
    return encode(json.dumps(part, separators=(",", ":"), allow_nan=False).encode())
