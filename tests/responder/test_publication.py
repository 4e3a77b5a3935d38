"""Signed publications: accepted messages, and every reason to refuse one."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.responder.messages import KEY, NOW, OTHER_KEY, base64url, claims, header, publication, signed, withdrawal
from wellkeeper_client import wire
from wellkeeper_client.signing import (
    Permit,
    decode_public_key,
    encode_public_key,
    key_id,
    sign_permit,
    sign_publication,
    sign_withdrawal,
)
from wellkeeper_client.wire import WireError
from wellkeeper_responder.publishing_keys import PublishingKeys

_KEYS = PublishingKeys([KEY.public_key()])


def _refusal(message: bytes, now: float = NOW, keys: PublishingKeys = _KEYS) -> WireError:
    with pytest.raises(WireError) as caught:
        keys.check_publication(message, now)
    return caught.value


def test_publication_reads_back_as_signed() -> None:
    message = sign_publication(publication(), KEY).encode()
    assert _KEYS.check_publication(message, NOW) == publication()


def test_withdrawal_reads_back_as_signed() -> None:
    message = sign_withdrawal(withdrawal(), KEY).encode()
    assert _KEYS.check_withdrawal(message, NOW) == withdrawal()


def test_permit_reads_back_as_signed() -> None:
    message = sign_permit(Permit(NOW, NOW + 60), KEY).encode()
    assert _KEYS.check_permit(message, NOW) == Permit(NOW, NOW + 60)


def test_message_signed_without_the_library_is_accepted() -> None:
    assert _KEYS.check_publication(signed(header(), claims()), NOW) == publication()


def test_both_keys_are_accepted_during_a_rotation() -> None:
    keys = PublishingKeys([KEY.public_key(), OTHER_KEY.public_key()])
    for key in (KEY, OTHER_KEY):
        assert keys.check_publication(sign_publication(publication(), key).encode(), NOW) == publication()
    assert keys.key_ids == (key_id(KEY.public_key()), key_id(OTHER_KEY.public_key()))


def test_unknown_key_is_refused() -> None:
    refusal = _refusal(sign_publication(publication(), OTHER_KEY).encode())
    assert (refusal.status, refusal.name) == (401, "unknown-key")


def test_signature_of_another_key_under_a_known_kid_is_refused() -> None:
    refusal = _refusal(signed(header(), claims(), OTHER_KEY))
    assert (refusal.status, refusal.name) == (401, "bad-signature")


def test_payload_changed_after_signing_is_refused() -> None:
    head, _, signature = signed(header(), claims()).split(b".")
    forged = base64url(json.dumps(claims(token="x" * 43)).encode())
    assert _refusal(b".".join([head, forged, signature])).name == "bad-signature"


@pytest.mark.parametrize("check", ["check_withdrawal", "check_permit"])
def test_publication_is_not_accepted_as_another_message(check: str) -> None:
    with pytest.raises(WireError, match="'typ'") as caught:
        getattr(_KEYS, check)(sign_publication(publication(), KEY).encode(), NOW)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"typ": "JWT"}, id="typ of plain JWT"),
        pytest.param({"typ": wire.WITHDRAW_TYPE}, id="typ of a withdrawal"),
        pytest.param({"typ": None}, id="no typ"),
        pytest.param({"typ": wire.PUBLISH_TYPE.upper()}, id="typ in capitals"),
        pytest.param({"typ": [wire.PUBLISH_TYPE]}, id="typ a list"),
        pytest.param({"alg": "none"}, id="alg none"),
        pytest.param({"alg": "None"}, id="alg None"),
        pytest.param({"alg": "HS256"}, id="alg HS256"),
        pytest.param({"alg": "ES256"}, id="alg ES256"),
        pytest.param({"alg": None}, id="no alg"),
        pytest.param({"alg": ["EdDSA"]}, id="alg a list"),
        pytest.param({"crit": ["exp"]}, id="crit"),
        pytest.param({"crit": ["b64"], "b64": False}, id="detached payload"),
        pytest.param({"b64": True}, id="b64"),
        pytest.param({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}}, id="jwk"),
        pytest.param({"jku": "https://example.com/keys"}, id="jku"),
        pytest.param({"x5c": ["AAAA"]}, id="x5c"),
        pytest.param({"zip": "DEF"}, id="zip"),
        pytest.param({"\ud800": 1}, id="name with a lone surrogate"),
    ],
)
def test_unexpected_header_is_malformed(changes: dict[str, object]) -> None:
    refusal = _refusal(signed(header(**changes), claims()))
    assert (refusal.status, refusal.name) == (400, "malformed")


@pytest.mark.parametrize("kid", [None, "x", "A" * 43, ""])
def test_kid_without_a_key_is_unknown(kid: str | None) -> None:
    refusal = _refusal(signed(header(kid=kid), claims()))
    assert (refusal.status, refusal.name) == (401, "unknown-key")


@pytest.mark.parametrize("kid", [1, ["x"], {"x": "y"}])
def test_kid_that_is_not_a_string_is_refused(kid: object) -> None:
    assert _refusal(signed(header(kid=kid), claims())).status in {400, 401}


@pytest.mark.parametrize("name", ["aud", "token", "thumbprint", "identifier", "jti", "iat", "exp"])
def test_missing_claim_is_named(name: str) -> None:
    refusal = _refusal(signed(header(), claims(**{name: None})))
    assert (refusal.status, refusal.name) == (400, "malformed")
    assert f"missing: {name};" in refusal.detail


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"nbf": NOW}, id="unknown claim"),
        pytest.param({"aud": [wire.AUDIENCE]}, id="aud a list"),
        pytest.param({"aud": "another-audience"}, id="aud of another"),
        pytest.param({"aud": wire.AUDIENCE + "/"}, id="aud with a tail"),
        pytest.param({"token": "short"}, id="token too short"),
        pytest.param({"token": "x" * 129}, id="token too long"),
        pytest.param({"token": "../../../../etc/passwd0000"}, id="token a path"),
        pytest.param({"token": "x" * 43 + "\n"}, id="token with a line end"),
        pytest.param({"token": "é" * 43}, id="token not ASCII"),
        pytest.param({"token": 5}, id="token a number"),
        pytest.param({"thumbprint": "x" * 42}, id="thumbprint too short"),
        pytest.param({"thumbprint": "x" * 44}, id="thumbprint too long"),
        pytest.param({"thumbprint": "x" * 42 + "\n"}, id="thumbprint with a line end"),
        pytest.param({"identifier": ""}, id="identifier empty"),
        pytest.param({"identifier": "x" * 254}, id="identifier too long"),
        pytest.param({"identifier": "exämple.com"}, id="identifier not ASCII"),
        pytest.param({"identifier": "a\u001b[2Jb"}, id="identifier with a control character"),
        pytest.param({"identifier": "\ud800"}, id="identifier a lone surrogate"),
        pytest.param({"identifier": {"type": "dns"}}, id="identifier an object"),
        pytest.param({"jti": "short"}, id="jti too short"),
        pytest.param({"jti": "x" * 65}, id="jti too long"),
        pytest.param({"jti": "x" * 16 + "/"}, id="jti with a slash"),
        pytest.param({"iat": str(NOW)}, id="iat a string"),
        pytest.param({"iat": NOW + 0.5}, id="iat a fraction"),
        pytest.param({"iat": True, "exp": 2}, id="iat a boolean"),
        pytest.param({"iat": -5, "exp": 100}, id="iat negative"),
        pytest.param({"iat": 10**400, "exp": 10**400 + 5}, id="iat beyond floating point"),
        pytest.param({"exp": float(NOW + 600)}, id="exp a float"),
        pytest.param({"exp": NOW}, id="no lifetime"),
        pytest.param({"exp": NOW - 1}, id="negative lifetime"),
        pytest.param({"exp": NOW + 3601}, id="lifetime over an hour"),
        pytest.param({"exp": float("inf")}, id="exp infinite"),
    ],
)
def test_invalid_claims_are_malformed(changes: dict[str, object]) -> None:
    refusal = _refusal(signed(header(), claims(**changes)))
    assert (refusal.status, refusal.name) == (400, "malformed")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"publication_jti": "short"}, id="publication_jti too short"),
        pytest.param({"publication_jti": None}, id="publication_jti missing"),
        pytest.param({"token": "short"}, id="token too short"),
        pytest.param({"jti": "x" * 16}, id="a claim of publications"),
    ],
)
def test_invalid_withdrawal_is_malformed(changes: dict[str, object]) -> None:
    whole = claims(thumbprint=None, identifier=None, jti=None) | {"publication_jti": "p-0000000000000001"} | changes
    payload = {name: value for name, value in whole.items() if value is not None}
    with pytest.raises(WireError) as caught:
        _KEYS.check_withdrawal(signed(header(typ=wire.WITHDRAW_TYPE), payload), NOW)
    assert (caught.value.status, caught.value.name) == (400, "malformed")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param("null", id="null"),
        pytest.param("no json", id="not JSON"),
        pytest.param("[" * 2000, id="deeply nested"),
        pytest.param(json.dumps(claims())[:-1] + ', "token": "' + "y" * 43 + '"}', id="a claim twice"),
        pytest.param('{"iat": ' + "9" * 2500 + "}", id="a number of 2500 digits"),
        pytest.param("\udcff", id="not UTF-8"),
    ],
)
def test_payload_without_valid_claims_is_malformed(payload: str) -> None:
    refusal = _refusal(signed(header(), payload))
    assert (refusal.status, refusal.name) == (400, "malformed")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"..", id="three empty parts"),
        pytest.param(b"a.b", id="two parts"),
        pytest.param(signed(header(), claims()) + b".AAAA", id="four parts"),
        pytest.param(b"\xff\xfe.\xff.\xff", id="not ASCII"),
        pytest.param("ü.ü.ü".encode(), id="UTF-8"),
        pytest.param(b"!!!." + b"A" * 20 + b".AAAA", id="not base64url"),
        pytest.param(signed("[" * 2500, "{}"), id="header deeply nested"),
        pytest.param(signed("[]", "{}"), id="header a list"),
        pytest.param(signed("1", "{}"), id="header a number"),
        pytest.param(json.dumps({"payload": "", "signatures": []}).encode(), id="JSON serialization"),
        pytest.param(b"\n" + signed(header(), claims()), id="line end before"),
        pytest.param(signed(header(), claims()) + b"\n", id="line end after"),
    ],
)
def test_message_that_is_not_a_compact_jws_is_malformed(message: bytes) -> None:
    refusal = _refusal(message)
    assert (refusal.status, refusal.name) == (400, "malformed")


def test_unsigned_message_is_refused() -> None:
    head, payload, _ = signed(header(alg="none"), claims()).split(b".")
    assert _refusal(b".".join([head, payload, b""])).status == 400
    head, payload, _ = signed(header(), claims()).split(b".")
    assert _refusal(b".".join([head, payload, b""])).name == "bad-signature"


def test_size_is_checked_before_anything_else() -> None:
    refusal = _refusal(b"x" * (wire.MAX_MESSAGE_BYTES + 1))
    assert (refusal.status, refusal.name) == (413, "too-large")
    assert _refusal(b"x" * wire.MAX_MESSAGE_BYTES).name == "malformed"


@pytest.mark.parametrize("lifetime", [1, 3600])
def test_lifetimes_up_to_an_hour_are_accepted(lifetime: int) -> None:
    message = sign_publication(publication(lifetime_seconds=lifetime), KEY).encode()
    assert _KEYS.check_publication(message, NOW).lifetime_seconds == lifetime


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        pytest.param(-600, None, id="600 s ahead of the responder"),
        pytest.param(-601, "clock", id="601 s ahead of the responder"),
        pytest.param(1200, None, id="600 s past its lifetime"),
        pytest.param(1201, "expired", id="601 s past its lifetime"),
    ],
)
def test_clock_difference_of_ten_minutes_is_accepted(seconds: int, name: str | None) -> None:
    message = sign_publication(publication(), KEY).encode()
    if name is None:
        assert _KEYS.check_publication(message, NOW + seconds) == publication()
    else:
        refusal = _refusal(message, NOW + seconds)
        assert (refusal.status, refusal.name) == (401, name)


def test_refusals_never_contain_a_signature() -> None:
    message = signed(header(), claims(), OTHER_KEY)
    assert message.rsplit(b".")[-1].decode() not in _refusal(message).detail


def test_public_key_round_trips_through_text() -> None:
    key = Ed25519PrivateKey.generate().public_key()
    assert decode_public_key(encode_public_key(key)).public_bytes_raw() == key.public_bytes_raw()


@pytest.mark.parametrize("text", ["", "AAAA", "A" * 44, "!" * 43, "ü" * 43, "A" * 43 + "\n", "+" * 43, " " * 43])
def test_invalid_public_key_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        decode_public_key(text)
