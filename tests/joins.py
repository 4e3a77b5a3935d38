"""An invite for web9, and its requests and answers, of the fleet in tests.relay.messages."""

import base64
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.relay.messages import FLEET_KEY, PUBLIC_FLEET_KEY
from tests.responder.messages import NOW
from wellkeeper_client import records
from wellkeeper_client.joining import Invite, JoinAnswer, JoinRequest, Pins
from wellkeeper_client.publishers import Publisher
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import encode_public_key

WEB9_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(9, 41)))
OTHER_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(10, 42)))
WEB9: Final = encode_public_key(WEB9_KEY.public_key())
OTHER: Final = encode_public_key(OTHER_KEY.public_key())
SEALING_KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(11, 43)))
WEB9_SEALING: Final = base64.urlsafe_b64encode(SEALING_KEY.public_key().public_bytes_raw()).rstrip(b"=").decode()
SECRET: Final = bytes(range(16))
NONCE: Final = "A" * 22
PUBLISHER: Final = Publisher("certbot", ("c" * 43,), (WEB9,), ("*.shop.example",))
PINS: Final = Pins(("t" * 43,), (OTHER,), (PUBLIC_FLEET_KEY,), (PUBLISHER,))
INVITE: Final = Invite(("10.0.0.1:8404",), "web9", PINS.digest, PUBLIC_FLEET_KEY, SECRET, NOW + 3600)


def request(secret: bytes = SECRET, /, **changes: str) -> JoinRequest:
    members: dict[str, Any] = {
        "node": "web9",
        "signing_key": WEB9,
        "sealing_key": WEB9_SEALING,
        "nonce": NONCE,
        "version": "1.2.3",
    }
    return JoinRequest(**(members | changes)).sealed(secret)


def answer(asked: JoinRequest | None = None, **changes: Any) -> JoinAnswer:  # noqa: ANN401 - members of all types
    asked = asked or request()
    members: dict[str, Any] = {
        "node": asked.node,
        "signing_key": asked.signing_key,
        "sealing_key": asked.sealing_key,
        "nonce": asked.nonce,
        "pins": PINS,
        "relays": ("10.0.0.1:8404",),
        "answers": True,
        "certificates": {"web": ("dns:www.example.org",)},
    }
    return JoinAnswer(**(members | changes))


def record_of(found: JoinAnswer, by: Ed25519PrivateKey = FLEET_KEY, key: str = "", *, issued_at: int = NOW) -> bytes:
    """Return the record of an answer."""
    made = Record(key or f"{Kind.ANSWER}/{INVITE.id}", 1, issued_at, issued_at + 3600, found.to_json())
    return records.sign(made, by).encode()
