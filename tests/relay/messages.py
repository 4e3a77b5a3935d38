"""Keys and records of a small fleet for tests."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.responder.messages import NOW
from wellkeeper_client import records
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import encode_public_key, key_id

FLEET_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
WEB1_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(3, 35)))
WEB2_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(4, 36)))
STRANGER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(5, 37)))
PUBLIC_FLEET_KEY = encode_public_key(FLEET_KEY.public_key())
FLEET_KEYS = {key_id(FLEET_KEY.public_key()): FLEET_KEY.public_key()}


def record(
    key: str = "bundle/www",
    number: int = 1,
    *,
    seconds: int = 600,
    issued_at: int = NOW,
    **body: Any,  # noqa: ANN401 - JSON
) -> Record:
    return Record(key, number, issued_at, issued_at + seconds, body)


def signed(
    key: str = "bundle/www",
    number: int = 1,
    *,
    by: Ed25519PrivateKey = FLEET_KEY,
    seconds: int = 600,
    issued_at: int = NOW,
    **body: Any,  # noqa: ANN401 - JSON
) -> bytes:
    return records.sign(record(key, number, seconds=seconds, issued_at=issued_at, **body), by).encode()


def enrolment(node: str, key: Ed25519PrivateKey, number: int = 1, *, issued_at: int = NOW) -> bytes:
    """Return the record that lets the node read and report."""
    body = {records.SIGNING_KEY: encode_public_key(key.public_key())}
    made = Record(f"{Kind.NODE}/{node}", number, issued_at, issued_at + 86_400, body)
    return records.sign(made, FLEET_KEY).encode()
