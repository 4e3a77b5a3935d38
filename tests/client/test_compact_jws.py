"""Compact JWS: one spelling, and the key id before the signature."""

import json
from typing import Any

import pytest

from tests.responder.messages import KEY, OTHER_KEY, base64url
from wellkeeper_client.compact_jws import MessageError, key_id_of, verify
from wellkeeper_client.signing import key_id, sign_claims

KID = key_id(KEY.public_key())
KEYS = {KID: KEY.public_key()}
TYP = "wellkeeper-test+jwt"
CLAIMS = {"name": "value", "list": [1, {"a": None}]}
LONGEST = 4096


def message(head: object = None, payload: object = None, **header: object) -> bytes:
    """Return a message that is correctly signed, whatever its parts are; None removes a parameter of the header."""
    whole = {"alg": "EdDSA", "kid": KID, "typ": TYP} | header
    parts = [{name: value for name, value in whole.items() if value is not None} if head is None else head]
    parts.append(CLAIMS if payload is None else payload)
    signing_input = b".".join(base64url(_encoded(part)) for part in parts)
    return signing_input + b"." + base64url(KEY.sign(signing_input))


def _encoded(part: object) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def problem(text: bytes, keys: Any = KEYS, longest: int = LONGEST) -> str:  # noqa: ANN401 - also other mappings
    with pytest.raises(MessageError) as caught:
        verify(text, keys, TYP, longest)
    assert caught.value.detail
    return caught.value.name


def test_signed_message_is_read_back() -> None:
    signed = sign_claims(TYP, CLAIMS, KEY).encode()
    assert verify(signed, KEYS, TYP, len(signed)) == CLAIMS
    assert verify(message(), KEYS, TYP, LONGEST) == CLAIMS


def test_key_id_is_read_without_a_key() -> None:
    assert key_id_of(message(), LONGEST) == KID
    assert key_id_of(message(kid=None), LONGEST) == ""


def test_numbers_that_json_lacks_are_not_signed() -> None:
    with pytest.raises(ValueError, match="JSON"):
        sign_claims(TYP, {"x": float("nan")}, KEY)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(b"", "malformed", id="empty"),
        pytest.param(b"\xff\x00", "malformed", id="random bytes"),
        pytest.param(b"a.b", "malformed", id="two parts"),
        pytest.param(message() + b".e30", "malformed", id="four parts"),
        pytest.param(b"." * 4000, "malformed", id="many parts"),
        pytest.param(message() + b"=", "malformed", id="padding"),
        pytest.param(b" " + message(), "malformed", id="space"),
        pytest.param(b"a.e30.e30", "malformed", id="header of one letter"),
        pytest.param(b"e30.e30.", "unknown-key", id="no key id"),
        pytest.param(message(kid="x" * 43), "unknown-key", id="unknown key"),
        pytest.param(message(kid=[KID]), "unknown-key", id="list as key id"),
        pytest.param(message(b"[]"), "malformed", id="header is a list"),
        pytest.param(message(b"[" * 300), "malformed", id="header is deep"),
        pytest.param(message(b'{"kid":"a","kid":"b"}'), "malformed", id="duplicate in the header"),
        pytest.param(message(x="y" * 600), "malformed", id="long header"),
        pytest.param(message(typ="wellkeeper-other+jwt"), "malformed", id="other type"),
        pytest.param(message(typ=None), "malformed", id="no type"),
        pytest.param(message(alg="none"), "malformed", id="other algorithm"),
        pytest.param(message(crit=["exp"]), "malformed", id="critical extension"),
        pytest.param(message(payload=[]), "malformed", id="payload is a list"),
        pytest.param(message(payload=b"\xff"), "malformed", id="payload is not UTF-8"),
        pytest.param(message(payload=b'{"a":NaN}'), "malformed", id="payload has a NaN"),
        pytest.param(message(payload=b'{"a":1,"a":2}'), "malformed", id="duplicate in the payload"),
        pytest.param(message(payload=b'{"a":' + b"[" * 2500), "malformed", id="payload is deep"),
        pytest.param(message(payload=b'{"a":' + b"9" * 2500 + b"e"), "malformed", id="payload is cut short"),
        pytest.param(message()[:-2], "malformed", id="signature is cut short"),
        pytest.param(message()[:-4], "malformed", id="signature of 63 bytes"),
        pytest.param(message().replace(b".", b".", 1)[:-86] + b"A" * 86, "bad-signature", id="other signature"),
    ],
)
def test_other_message_is_refused(text: bytes, name: str) -> None:
    assert problem(text) == name


def test_message_is_refused_one_byte_over_its_limit() -> None:
    signed = message()
    assert problem(signed, longest=len(signed) - 1) == "too-large"


def test_spare_bits_of_the_signature_are_refused() -> None:
    signed = message()
    # 64 bytes leave four spare bits in the last letter, which must be zero.
    last = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(signed[-1:])
    other = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last | 1 : (last | 1) + 1]
    assert problem(signed[:-1] + other) == "malformed"


def test_key_under_another_id_does_not_verify() -> None:
    assert problem(message(), {KID: OTHER_KEY.public_key()}) == "bad-signature"


def test_every_changed_byte_is_refused() -> None:
    signed = message()
    for place in range(len(signed)):
        changed = bytearray(signed)
        changed[place] ^= 1
        assert problem(bytes(changed)) in {"malformed", "unknown-key", "bad-signature"}
