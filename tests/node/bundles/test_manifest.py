"""The manifest: what is read back, what is refused, and when its date is a concern."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes_deliver import NOW
from tests.fleet import LEAF, OTHER_FLEET_KEY, OTHER_LEAF, TIME, entry, manifest_of, sealed
from tests.relay.messages import FLEET_KEY
from wellkeeper_client.records import MAX_NUMBER, Kind, Record
from wellkeeper_client.signing import encode_public_key
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Manifest, read_manifest

FLEET_KEYS = tuple(encode_public_key(key.public_key()) for key in (FLEET_KEY, OTHER_FLEET_KEY))
MANIFEST = replace(
    manifest_of(sealed(), number=7),
    retire={"web": frozenset({OTHER_LEAF})},
    disown={"old": frozenset({LEAF, OTHER_LEAF})},
    fleet_keys=FLEET_KEYS,
)
RECORD = MANIFEST.to_record()
ENTRY: Mapping[str, Any] = RECORD.body["lineages"]["web"]


def refusal(record: Record) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read_manifest(record)
    return str(caught.value)


def with_body(**changes: object) -> Record:
    return replace(RECORD, body={**RECORD.body, **changes})


def with_entry(name: str = "web", **changes: object) -> Record:
    return with_body(lineages={name: {**ENTRY, **changes}})


def test_record_of_a_manifest_is_read_with_the_same_content() -> None:
    assert read_manifest(RECORD) == MANIFEST
    without = replace(MANIFEST, fleet_keys=())
    assert read_manifest(without.to_record()) == without
    assert (RECORD.key, RECORD.number, RECORD.issued_at) == ("manifest/fleet", 7, TIME)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (replace(RECORD, key="manifest/other"), "its key is 'manifest/other', expected 'manifest/fleet'"),
        (replace(RECORD, number=0), "0 is not a number from 1 to"),
        (replace(RECORD, issued_at=MAX_NUMBER), "is not a UNIX time in seconds"),
        (replace(RECORD, issued_at=2**43), "is not a UNIX time in seconds"),
        (with_body(command="reboot"), "expected an object with the members disown, lineages, retire"),
        (with_body(lineages=[]), "'lineages' must be an object"),
        (with_body(lineages={"web": []}), "expected an object with the members archive_name, ciphertext_sha256"),
        (with_body(lineages={"../web": ENTRY}), "'../web' is not a certificate name"),
        (with_entry(more=1), "expected an object with the members"),
        (with_entry(number=1.0), "'number' must be a whole number"),
        (with_entry(number=MAX_NUMBER + 1), "is not a number from 1 to"),
        (with_entry(archive_name="."), "'.' is not the name of a version"),
        (with_entry(ciphertext_sha256="AB" * 32), "is not SHA-256 in lower-case hexadecimal"),
        (with_entry(leaf_sha256=""), "'' is not SHA-256"),
        (with_body(retire={"web": LEAF}), "must be lists of strings"),
        (with_body(retire={"web": [1]}), "must be lists of strings"),
        (with_body(disown={"web": ["*"]}), "'*' is not SHA-256"),
        (with_body(disown={"/": []}), "'/' is not a certificate name"),
        (with_body(disown={"web": [ENTRY["leaf_sha256"]]}), "lists the certificate of web that it retires or disowns"),
        (with_body(retire={"web": [ENTRY["leaf_sha256"]]}), "lists the certificate of web that it retires or disowns"),
        (with_body(fleet_keys=FLEET_KEYS[0]), "'fleet_keys' must be a list of at most 2 strings"),
        (with_body(fleet_keys=[FLEET_KEYS[0]] * 3), "'fleet_keys' must be a list of at most 2 strings"),
        (with_body(fleet_keys=[1]), "'fleet_keys' must be a list of at most 2 strings"),
        (with_body(fleet_keys=["A" * 42]), "expected 43 characters of base64url"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_other_content_is_refused_with_the_mistake(record: Record, words: str) -> None:
    found = refusal(record)
    assert words in found
    assert len(found) < 200


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from([LEAF, "web", dict(ENTRY)]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9) | st.just("web"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, database=None)
@given(st.dictionaries(st.sampled_from(["lineages", "retire", "disown", "fleet_keys", "x"]), values, max_size=4))
def test_any_body_is_a_manifest_or_refused(body: dict[str, Any]) -> None:
    try:
        found = read_manifest(replace(RECORD, body=body))
    except ValueError:
        return
    # No keys are the same as an empty list.
    assert found.to_record().body.keys() == {name for name in body if name != "fleet_keys" or body[name]}


def test_manifest_is_a_concern_when_it_is_over_three_days_old_or_from_the_future() -> None:
    def concern(age: timedelta) -> str | None:
        return MANIFEST.concern(NOW + age)

    assert concern(timedelta(days=3)) is None
    assert concern(timedelta(minutes=-10)) is None
    assert concern(timedelta(days=3, seconds=1)) == "the manifest is from 2026-03-01 12:00 UTC, over 3 days ago"
    assert concern(timedelta(minutes=-11)) == (
        "the manifest is from 2026-03-01 12:00 UTC, the clock here says 2026-03-01 11:49 UTC"
    )


def test_manifest_of_2_500_lineages_with_long_names_fits_in_a_record() -> None:
    lineages = {f"{number:0>53}.example": entry(10**9) for number in range(2_500)}
    body = Manifest(1, TIME, lineages, {}, {}).to_record().body
    assert len(repr(body)) * 4 / 3 < Kind.MANIFEST.longest
    assert MANIFEST_KEY.startswith(Kind.MANIFEST)
