"""Opening the messages of bundle and wrap: a relay that forges, swaps or changes records gets nothing installed."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes_deliver import NOW
from tests.fleet import OTHER_FLEET_KEY, PAIR, TIME, WEB1, WEB2, manifest_of, public, sealed
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from tests.responder.messages import signed as signed_text
from wellkeeper_client import records, wire
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.fleet.sealing import wrap
from wellkeeper_node.bundles.opening import Opener
from wellkeeper_node.errors import FleetError

ONE, MAIL = sealed(), sealed("mail")
MANIFEST = manifest_of(ONE, MAIL)
OPENER = Opener("web1", FLEET_KEYS, WEB1)
HEADER = {"typ": Kind.BUNDLE.message_type, "alg": wire.ALGORITHM, "kid": key_id(FLEET_KEY.public_key())}


def signed(record: Record, key: Ed25519PrivateKey = FLEET_KEY) -> bytes:
    return records.sign(record, key).encode()


BUNDLE = signed(ONE.bundle.to_record(TIME))
WRAP = signed(wrap(ONE, "web1", public(WEB1)).to_record(TIME))


def refusal(bundle: bytes = BUNDLE, wrapped: bytes = WRAP) -> str:
    with pytest.raises(FleetError, match="cannot use the bundle of web") as caught:
        OPENER.open("web", MANIFEST, (bundle, wrapped), NOW)
    assert len(caught.value.why) < 250
    return caught.value.why


def test_messages_of_bundle_and_wrap_open_for_their_node() -> None:
    assert OPENER.open("web", MANIFEST, (BUNDLE, WRAP), NOW).pair == PAIR


def test_messages_that_were_signed_long_ago_open_while_the_manifest_lists_them() -> None:
    long_ago = TIME - 500 * 24 * 3600
    messages = signed(ONE.bundle.to_record(long_ago)), signed(wrap(ONE, "web1", public(WEB1)).to_record(long_ago))
    assert OPENER.open("web", MANIFEST, messages, NOW).pair == PAIR


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        (b"", "the record of its bundle: it is not a compact JWS"),
        (b"x" * (Kind.BUNDLE.longest + 1), "at most 131072 are allowed"),
        (BUNDLE[:-1], "the record of its bundle: the signature"),
        (signed(ONE.bundle.to_record(TIME), OTHER_FLEET_KEY), "the key in 'kid' is not trusted for this"),
        (signed(MAIL.bundle.to_record(TIME)), "the record of its bundle is 'bundle/mail', expected 'bundle/web'"),
        (signed(replace(MAIL.bundle, lineage="web").to_record(TIME)), "not the one that the manifest lists"),
        (signed(sealed(number=2).bundle.to_record(TIME)), "it is version 2 ("),
        (WRAP, "the record of its bundle: 'typ' is 'wellkeeper-record-wrap+jwt'"),
        (
            signed(replace(ONE.bundle.to_record(TIME), body={"command": "reboot"})),
            "expected an object with the members",
        ),
        (signed_text(HEADER, "[" * 90_000, FLEET_KEY), "the payload is not valid JSON"),
        (signed_text(HEADER, "[]", FLEET_KEY), "the payload must be a JSON object"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_other_message_in_place_of_the_bundle_is_refused(bundle: bytes, words: str) -> None:
    assert words in refusal(bundle)


@pytest.mark.parametrize(
    ("wrapped", "words"),
    [
        (signed(wrap(ONE, "web2", public(WEB2)).to_record(TIME)), "is 'wrap/web2/web', expected 'wrap/web1/web'"),
        (signed(wrap(ONE, "web1", public(WEB2)).to_record(TIME)), "does not open with the key of this node"),
        (signed(wrap(MAIL, "web1", public(WEB1)).to_record(TIME)), "is 'wrap/web1/mail', expected 'wrap/web1/web'"),
        (signed(wrap(ONE, "web1", public(WEB1)).to_record(TIME), OTHER_FLEET_KEY), "the key in 'kid' is not trusted"),
        (BUNDLE, "the record of its wrap: the message has"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_other_message_in_place_of_the_wrap_is_refused(wrapped: bytes, words: str) -> None:
    assert words in refusal(wrapped=wrapped)


@settings(max_examples=100, deadline=None, database=None)
@given(position=st.integers(0, len(WRAP) - 1), bit=st.integers(0, 7))
def test_message_with_any_flipped_bit_is_refused(position: int, bit: int) -> None:
    changed = bytearray(WRAP)
    changed[position] ^= 1 << bit
    assert "the record of its wrap: " in refusal(wrapped=bytes(changed))


def test_private_key_is_never_shown() -> None:
    assert "X25519" not in repr(OPENER)
