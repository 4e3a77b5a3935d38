"""Sealed bundles and wraps as records: read back the same, and nothing else is read."""

from dataclasses import replace
from typing import Final

import pytest

from tests.fleet import TIME, WEB1, public, sealed, version
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.sealing import wrap
from wellkeeper_node.bundles.model import LONGEST_BUNDLE, SealedBundle, read_sealed, read_wrap

ONE: Final = sealed()
WRAP: Final = wrap(ONE, "web1", public(WEB1))
BUNDLE_RECORD, WRAP_RECORD = ONE.bundle.to_record(TIME), WRAP.to_record(TIME)


def over_the_wire(record: Record) -> Record:
    return records.check(records.sign(record, FLEET_KEY).encode(), FLEET_KEYS, record.kind, TIME)


def test_bundle_and_wrap_are_read_from_their_records() -> None:
    assert read_sealed(over_the_wire(BUNDLE_RECORD)) == ONE.bundle
    assert read_wrap(over_the_wire(WRAP_RECORD)) == WRAP
    assert (BUNDLE_RECORD.key, WRAP_RECORD.key) == ("bundle/web", "wrap/web1/web")
    assert (BUNDLE_RECORD.number, WRAP_RECORD.number) == (1, 1)


def test_longest_bundle_fits_in_a_record() -> None:
    bundle = SealedBundle("a" * 240, version(records.MAX_NUMBER), bytes(LONGEST_BUNDLE + 28))
    assert read_sealed(over_the_wire(bundle.to_record(TIME))) == bundle
    assert LONGEST_BUNDLE > 64 * 1024


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (replace(BUNDLE_RECORD, key="bundle/-web"), "'-web' is not a certificate name"),
        (replace(BUNDLE_RECORD, key="bundle/Web"), "'Web' is not a certificate name"),
        (replace(BUNDLE_RECORD, key="node/web"), "it is a node, expected a bundle"),
        (replace(BUNDLE_RECORD, number=0), "0 is not a number from 1"),
        (replace(BUNDLE_RECORD, body={}), "expected an object with the members archive_name, ciphertext"),
        (replace(BUNDLE_RECORD, body={**BUNDLE_RECORD.body, "archive_name": 1}), "'archive_name' must be a string"),
        (replace(BUNDLE_RECORD, body={**BUNDLE_RECORD.body, "ciphertext": "AA=="}), "not base64url without padding"),
        (replace(BUNDLE_RECORD, body={**BUNDLE_RECORD.body, "ciphertext": "AB"}), "not base64url without padding"),
        (replace(BUNDLE_RECORD, body={**BUNDLE_RECORD.body, "ciphertext": "A"}), "not base64url without padding"),
        (replace(BUNDLE_RECORD, body={**BUNDLE_RECORD.body, "ciphertext": "ä+/"}), "not base64url without padding"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_other_records_are_not_read_as_a_bundle(record: Record, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_sealed(record)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (BUNDLE_RECORD, "expected an object with the members archive_name, suite, wrapped_key"),
        (replace(WRAP_RECORD, key="bundle/web"), "it is a bundle, expected a wrap"),
        (replace(WRAP_RECORD, key="wrap/web1/Web"), "'Web' is not a certificate name"),
        (replace(WRAP_RECORD, body={**WRAP_RECORD.body, "suite": None}), "'suite' must be a string"),
        (replace(WRAP_RECORD, body={**WRAP_RECORD.body, "wrapped_key": "="}), "not base64url without padding"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_other_records_are_not_read_as_a_wrap(record: Record, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_wrap(record)


def test_wrap_is_small() -> None:
    assert len(WRAP.wrapped_key) == 80
    assert len(records.sign(WRAP_RECORD, FLEET_KEY)) < 700 < Kind.WRAP.longest
