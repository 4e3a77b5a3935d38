"""Numbers of versions: they rise, and the same certificate keeps its own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fleet import LEAF, TIME
from wellkeeper_issuer.fleet.versions import version_of
from wellkeeper_node.bundles.manifest import Entry, Manifest
from wellkeeper_node.bundles.model import Version

ONE, TWO, THREE = (f"2026030{day}T110000Z-0123abcd" for day in (1, 2, 3))


def listing(number: int, archive_name: str, lineage: str = "web") -> Manifest:
    return Manifest(9, TIME, {lineage: Entry(Version(number, archive_name), LEAF, LEAF)}, {}, {})


@pytest.mark.parametrize(
    ("archived", "manifest", "number"),
    [
        (None, None, 1),
        (Version(1, TWO), None, 1),
        (Version(1, ONE), None, 2),
        (None, listing(7, TWO), 7),
        (None, listing(7, ONE), 8),
        (Version(3, TWO), listing(7, TWO), 7),
        (Version(6, ONE), listing(7, TWO), 7),
        (Version(7, TWO), listing(3, TWO), 7),
        (Version(9, ONE), listing(7, TWO), 10),
        (Version(7, TWO), listing(7, ONE), 8),
        (Version(3, THREE), listing(3, THREE), 4),
        (None, listing(7, TWO, "mail"), 1),
    ],
    ids=[
        "first of all",
        "known in the archive",
        "new after one in the archive",
        "known in the manifest",
        "new after the manifest's",
        "archive restored from a backup",
        "number not yet in the archive",
        "manifest restored from a backup",
        "archive ahead of the manifest",
        "two with one number",
        "older certificate live again",
        "number of another lineage",
    ],
)
def test_number_of_the_live_certificate(archived: Version | None, manifest: Manifest | None, number: int) -> None:
    assert version_of("web", TWO, archived, manifest) == Version(number, TWO)


@settings(max_examples=200, deadline=None, database=None)
@given(
    live=st.sampled_from([ONE, TWO, THREE]),
    archived=st.none() | st.builds(Version, st.integers(1, 9), st.sampled_from([ONE, TWO, THREE])),
    listed=st.none() | st.builds(listing, st.integers(1, 9), st.sampled_from([ONE, TWO, THREE])),
)
def test_number_is_never_lower_than_a_known_one_and_stays_the_same(
    live: str, archived: Version | None, listed: Manifest | None
) -> None:
    found = version_of("web", live, archived, listed)
    others = [one for one in (archived, listed.lineages["web"].version if listed else None) if one and one != found]
    assert all(found.number > one.number for one in others if one.archive_name != live)
    assert all(found.number >= one.number for one in others)
    assert version_of("web", live, found, listing(found.number, live)) == found
