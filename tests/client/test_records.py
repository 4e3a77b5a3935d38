"""The format of fleet records: keys, claims, lifetimes, sizes; hostile ones are refused."""

from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.relay.messages import FLEET_KEY, FLEET_KEYS, STRANGER_KEY, WEB1_KEY, enrolment, record, signed
from tests.responder.messages import NOW
from wellkeeper_client import records, wire
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import sign_claims

GOOD_KEYS = {
    Kind.PUBLICATION: "publication/-jti-0000000000000",
    Kind.BUNDLE: "bundle/www.example.org",
    Kind.WRAP: "wrap/web2/www.example.org",
    Kind.MANIFEST: "manifest/fleet",
    Kind.NODE: "node/web2",
    Kind.REPORT: "report/web2",
    Kind.HEARTBEAT: "heartbeat/issuer",
    Kind.INVITE: "invite/-abcdefghijklmnopqrst_",
    Kind.JOIN: "join/-abcdefghijklmnopqrst_",
    Kind.ANSWER: "answer/-abcdefghijklmnopqrst_",
}


def claims(**changes: object) -> dict[str, object]:
    """Return the claims of a record with changes; None removes a claim."""
    whole: dict[str, object] = {
        "aud": records.AUDIENCE,
        "version": 1,
        "key": "bundle/www",
        "number": 1,
        "iat": NOW,
        "exp": NOW + 600,
        "body": {},
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def made(payload: Mapping[str, object], kind: Kind = Kind.BUNDLE, key: Ed25519PrivateKey = FLEET_KEY) -> bytes:
    return sign_claims(kind.message_type, payload, key).encode()


def problem(message: bytes, kind: Kind = Kind.BUNDLE, now: float = NOW) -> str:
    with pytest.raises(MessageError) as caught:
        records.check(message, FLEET_KEYS, kind, now)
    return caught.value.name


@pytest.mark.parametrize("kind", Kind)
def test_record_is_read_back(kind: Kind) -> None:
    whole = record(GOOD_KEYS[kind], 2**53 - 1, text="…", deep=[{"x": None}])
    message = records.sign(whole, FLEET_KEY).encode()
    assert records.check(message, FLEET_KEYS, kind, NOW) == whole
    assert whole.kind is kind


@pytest.mark.parametrize("kind", Kind)
def test_record_of_one_kind_is_refused_as_every_other(kind: Kind) -> None:
    message = signed(GOOD_KEYS[kind])
    assert {problem(message, other) for other in Kind if other is not kind} == {"malformed"}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "bundle",
        "bundle/",
        "/www",
        "secret/www",
        "bundle/www/x",
        "wrap/web2",
        "wrap/web2/www/x",
        "bundle/../x",
        "bundle/a..b",
        "bundle/.hidden",
        "bundle/a b",
        "bundle/a%2fb",
        "bundle/é",
        "bundle/www\n",
        "BUNDLE/www",
        "bundle/" + "x" * 241,
        "wrap/" + "x" * 240 + "/" + "y" * 10_000,
    ],
)
def test_other_key_is_refused(key: str) -> None:
    with pytest.raises(MessageError):
        records.kind_of(key)
    with pytest.raises(MessageError):
        records.sign(record(key), FLEET_KEY)
    assert problem(made(claims(key=key))) == "malformed"


def test_longest_names_are_accepted() -> None:
    assert records.kind_of(f"wrap/{'x' * 240}/{'y' * 240}") is Kind.WRAP
    assert records.node_of("wrap/web2/www") == "web2"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({"aud": "wellkeeper-responder"}, "malformed", id="other audience"),
        pytest.param({"version": 2}, "version", id="later version"),
        pytest.param({"version": 2, "new": 1}, "version", id="later version with other claims"),
        pytest.param({"version": True}, "version", id="true is not a version"),
        pytest.param({"version": 1.0}, "version", id="version as a float"),
        pytest.param({"extra": 1}, "malformed", id="unknown claim"),
        pytest.param({"body": None}, "malformed", id="missing claim"),
        pytest.param({"body": []}, "malformed", id="list as body"),
        pytest.param({"key": 7}, "malformed", id="number as key"),
        pytest.param({"key": "wrap/web2/www"}, "malformed", id="key of another kind"),
        pytest.param({"number": -1}, "malformed", id="negative number"),
        pytest.param({"number": 2**53}, "malformed", id="huge number"),
        pytest.param({"number": 1.0}, "malformed", id="number as a float"),
        pytest.param({"number": True}, "malformed", id="true as a number"),
        pytest.param({"exp": NOW}, "malformed", id="no lifetime"),
        pytest.param({"exp": NOW + 401 * 86_400}, "malformed", id="long lifetime"),
        pytest.param({"iat": wire.MAX_TIME, "exp": wire.MAX_TIME + 1}, "malformed", id="end of time"),
    ],
)
def test_signed_record_with_other_claims_is_refused(changes: dict[str, Any], name: str) -> None:
    assert problem(made(claims(**changes))) == name


@pytest.mark.parametrize(
    ("late", "is_expired"), [(wire.MAX_CLOCK_SKEW_SECONDS, False), (wire.MAX_CLOCK_SKEW_SECONDS + 1, True)]
)
def test_record_expires_ten_minutes_late(late: int, is_expired: bool) -> None:
    message, now = signed(seconds=600), NOW + 600 + late
    if is_expired:
        assert problem(message, now=now) == "expired"
    else:
        records.check(message, FLEET_KEYS, Kind.BUNDLE, now)
    assert records.read(message, FLEET_KEYS, Kind.BUNDLE).expires_at == NOW + 600


def test_record_from_a_clock_that_is_ahead_is_accepted() -> None:
    assert records.check(signed(), FLEET_KEYS, Kind.BUNDLE, NOW - 86_400).number == 1


def test_strangers_signature_is_refused_by_its_key_id() -> None:
    assert problem(signed(by=STRANGER_KEY)) == "unknown-key"


@pytest.mark.parametrize("kind", Kind)
def test_record_over_its_size_is_neither_signed_nor_read(kind: Kind) -> None:
    # Base64url makes four letters of three bytes.
    body: dict[str, Any] = {"x": "y" * (kind.longest * 3 // 4)}
    with pytest.raises(MessageError, match="at most"):
        records.sign(record(GOOD_KEYS[kind], **body), FLEET_KEY)
    assert problem(made(claims(key=GOOD_KEYS[kind], body=body), kind), kind) == "too-large"


@pytest.mark.parametrize(
    ("kind", "seconds"), [(Kind.PUBLICATION, 3600), (Kind.REPORT, 7 * 86_400), (Kind.NODE, 400 * 86_400)]
)
def test_each_kind_has_a_longest_lifetime(kind: Kind, seconds: int) -> None:
    records.sign(record(GOOD_KEYS[kind], seconds=seconds), FLEET_KEY)
    with pytest.raises(MessageError, match="expected 1 to"):
        records.sign(record(GOOD_KEYS[kind], seconds=seconds + 1), FLEET_KEY)


def test_nodes_record_names_the_key_of_its_reports() -> None:
    found = records.check(enrolment("web1", WEB1_KEY), FLEET_KEYS, Kind.NODE, NOW)
    assert records.node_key(found) == WEB1_KEY.public_key()


@pytest.mark.parametrize("value", [None, "", 7, "x" * 44])
def test_nodes_record_without_a_usable_key_is_refused(value: object) -> None:
    with pytest.raises(MessageError, match="signing_key"):
        records.node_key(Record("node/web1", 1, NOW, NOW + 1, {records.SIGNING_KEY: value}))
