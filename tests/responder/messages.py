"""Messages for tests: valid ones with defaults, and signed invalid ones."""

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client import wire
from wellkeeper_client.signing import Publication, Withdrawal, encode_public_key, key_id
from wellkeeper_client.trust_file import Trust

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
THUMBPRINT = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
OTHER_THUMBPRINT = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"
PUBLIC_KEY = encode_public_key(KEY.public_key())
TRUST = Trust((THUMBPRINT,), (PUBLIC_KEY,))
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
OTHER_TOKEN = "DGyRejmCefe7v4NfDGDKfAddddddddddddddddddddd"
NOW = 1_772_366_400
JTI = "p-0000000000000001"


def publication(
    token: str = TOKEN,
    *,
    thumbprint: str = THUMBPRINT,
    jti: str = JTI,
    issued_at: int = NOW,
    lifetime_seconds: int = 600,
) -> Publication:
    return Publication(token, thumbprint, "example.com", jti, issued_at, issued_at + lifetime_seconds)


def withdrawal(jti: str = JTI, *, token: str = TOKEN, issued_at: int = NOW) -> Withdrawal:
    return Withdrawal(token, jti, issued_at, issued_at + 600)


def claims(**changes: object) -> dict[str, Any]:
    """Return the claims of `publication()` with changes; None removes a claim."""
    whole: dict[str, object] = {
        "aud": wire.AUDIENCE,
        "token": TOKEN,
        "thumbprint": THUMBPRINT,
        "identifier": "example.com",
        "jti": JTI,
        "iat": NOW,
        "exp": NOW + 600,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def header(**changes: object) -> dict[str, Any]:
    """Return the header of a publication with changes; None removes a parameter."""
    whole: dict[str, object] = {"typ": wire.PUBLISH_TYPE, "alg": wire.ALGORITHM, "kid": key_id(KEY.public_key())}
    return {name: value for name, value in (whole | changes).items() if value is not None}


def signed(head: dict[str, Any] | str, payload: dict[str, Any] | str, key: Ed25519PrivateKey = KEY) -> bytes:
    """Return a compact JWS over exactly this header and payload, without a library's checks."""
    signing_input = b".".join(base64url(_encoded(part)) for part in (head, payload))
    return signing_input + b"." + base64url(key.sign(signing_input))


def base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _encoded(part: dict[str, Any] | str) -> bytes:
    return part.encode("utf-8", "surrogatepass") if isinstance(part, str) else json.dumps(part).encode()
