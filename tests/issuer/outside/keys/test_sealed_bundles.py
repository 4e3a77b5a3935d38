"""Sealed bundles in `state_dir`: read back the same, secret, and sealed again after damage."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes_deliver import NOW
from tests.fleet import PAIR, WEB1, manifest_of, public, sealed
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.fleet.sealing import wrap
from wellkeeper_issuer.outside.keys.sealed_bundles import SealedBundles
from wellkeeper_node.bundles.opening import open_bundle

ONE, NEWER = sealed(), sealed(number=2)


@pytest.fixture
def bundles(folder: Path) -> SealedBundles:
    return SealedBundles(folder)


def test_bundle_is_kept_for_nodes_that_join_later(bundles: SealedBundles, folder: Path) -> None:
    assert bundles.read("web") is None
    bundles.write(ONE)
    bundles.write(sealed("mail"))
    found = SealedBundles(folder).read("web")
    assert found == ONE
    wrapped = wrap(found, "web1", public(WEB1))
    assert open_bundle(manifest_of(ONE), found.bundle, wrapped, WEB1, NOW).pair == PAIR
    path = folder / "bundles/web.json"
    assert [one.stat().st_mode & 0o7777 for one in (path, path.parent)] == [0o600, 0o700]


def test_newer_version_replaces_the_older_one_and_both_can_be_removed(bundles: SealedBundles) -> None:
    bundles.write(ONE)
    bundles.write(NEWER)
    assert bundles.read("web") == NEWER
    for _ in range(2):
        bundles.remove("web")
    assert bundles.read("web") is None


def test_time_of_sealing_is_that_of_the_file(bundles: SealedBundles, folder: Path) -> None:
    assert bundles.sealed_at("web") is None
    bundles.write(ONE)
    os.utime(folder / "bundles/web.json", (1_700_000_000, 1_700_000_000))
    assert bundles.sealed_at("web") == datetime.fromtimestamp(1_700_000_000, UTC)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"number": 1', b"\xff"], ids=ascii)
def test_damaged_bundle_counts_as_none(bundles: SealedBundles, folder: Path, content: bytes) -> None:
    bundles.write(ONE)
    (folder / "bundles/web.json").write_bytes(content)
    assert bundles.read("web") is None


def test_file_that_others_may_change_is_refused(bundles: SealedBundles, folder: Path) -> None:
    bundles.write(ONE)
    (folder / "bundles/web.json").chmod(0o620)
    with pytest.raises(SettingsError, match="its group may write to"):
        bundles.read("web")


def test_directory_that_cannot_be_used_is_an_error(folder: Path) -> None:
    (folder / "file").touch()
    bundles = SealedBundles(folder / "file")
    with pytest.raises(SettingsError, match="File exists"):
        bundles.write(ONE)
    for use in (bundles.remove, bundles.read):
        with pytest.raises(SettingsError, match=r"cannot use .*file/bundles/web\.json: Not a directory\."):
            use("web")
