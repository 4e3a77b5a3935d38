"""Signing the manifest: after each change, once per day, and never with a number that falls."""

import re
from dataclasses import replace

import pytest

from tests.fleet import LEAF, OTHER_LEAF, TIME, entry, manifest_of, sealed
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.manifest import Listed, nearly_full, next_manifest, sign_manifest
from wellkeeper_node.bundles.manifest import Manifest, read_manifest
from wellkeeper_node.errors import FleetError

DAY = 24 * 3600
LISTED = Listed({"web": entry(3)}, {"web": frozenset({OTHER_LEAF})})
FIRST = Manifest(TIME, TIME, {"web": entry(3)}, {"web": frozenset({OTHER_LEAF})}, {})


def test_number_of_the_first_manifest_is_the_time() -> None:
    """Nodes may know a higher number than one: the issuer can have lost its manifest."""
    assert next_manifest(None, LISTED, TIME) == FIRST


@pytest.mark.parametrize("later", [0, 1, DAY - 1])
def test_manifest_with_the_same_content_is_not_signed_again_within_a_day(later: int) -> None:
    assert next_manifest(FIRST, LISTED, TIME + later) is None


@pytest.mark.parametrize("later", [DAY, 90 * DAY, -1], ids=["a day later", "long after", "clock was ahead"])
def test_manifest_is_signed_again_daily(later: int) -> None:
    number = max(TIME + later, TIME + 1)
    assert next_manifest(FIRST, LISTED, TIME + later) == replace(FIRST, number=number, issued_at=TIME + later)


@pytest.mark.parametrize(
    "listed",
    [
        Listed({"web": entry(4)}, LISTED.retire),
        Listed({"web": entry(3, OTHER_LEAF)}),
        Listed({"web": entry(3), "mail": entry()}, LISTED.retire),
        Listed({}, LISTED.retire),
        Listed(LISTED.lineages),
        Listed(LISTED.lineages, LISTED.retire, {"old": frozenset({LEAF})}),
        Listed(LISTED.lineages, LISTED.retire, {}, ("f" * 43,)),
    ],
    ids=["new version", "sealed again", "new lineage", "removed lineage", "nothing to retire", "disowned", "keys"],
)
@pytest.mark.parametrize("ahead", [0, 1000], ids=["in the same second", "number ahead of the clock"])
def test_any_change_of_the_content_gives_a_higher_number(listed: Listed, ahead: int) -> None:
    found = next_manifest(replace(FIRST, number=TIME + ahead), listed, TIME)
    assert found is not None
    assert (found.number, found.issued_at) == (TIME + ahead + 1, TIME)
    assert (found.lineages, found.retire, found.disown) == (listed.lineages, listed.retire, listed.disown)
    assert found.fleet_keys == listed.fleet_keys


def test_empty_lists_are_not_a_change() -> None:
    listed = Listed(LISTED.lineages, {**LISTED.retire, "old": frozenset()}, {"old": frozenset()})
    assert next_manifest(FIRST, listed, TIME) is None


def test_number_of_a_lineage_never_falls() -> None:
    with pytest.raises(FleetError, match=r"cannot list the certificate of web: its version 2 is lower than 3"):
        next_manifest(FIRST, Listed({"web": entry(2)}), TIME)


def test_signed_manifest_is_read_with_the_same_content() -> None:
    message = sign_manifest(manifest_of(sealed()), FLEET_KEY)
    record = records.check(message, FLEET_KEYS, Kind.MANIFEST, TIME)
    assert read_manifest(record).lineages.keys() == {"web"}
    # A machine that was off for a year still learns what it should have.
    assert record.expires_at - record.issued_at > 365 * DAY


def test_manifest_that_is_too_large_is_refused() -> None:
    lineages = {f"{number:0>240}": entry() for number in range(8000)}
    with pytest.raises(FleetError) as caught:
        sign_manifest(Manifest(1, TIME, lineages, {}, {}), FLEET_KEY)
    assert caught.value.what == "cannot sign the manifest of 8000 certificates, so nodes get nothing new"
    assert re.fullmatch(r"manifest/fleet has \d+ bytes, at most 1048576 are allowed", caught.value.why)
    assert caught.value.remedy.startswith("Put several names into each certificate, ")


@pytest.mark.parametrize(("count", "percent"), [(2_300, 0), (2_700, 85), (3_100, 97)])
def test_manifest_that_nears_its_limit_says_so(count: int, percent: int) -> None:
    manifest = Manifest(1, TIME, {f"host-{number}.example.org": entry() for number in range(count)}, {}, {})
    found = nearly_full(sign_manifest(manifest, FLEET_KEY), manifest)
    words = f"the manifest has {count} certificates for nodes and is {percent} % full: "
    assert found.startswith(words) if percent else found == ""
