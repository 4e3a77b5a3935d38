"""The kept manifest: only a newer one replaces it, it survives restarts, and damage never blocks a node."""

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fleet import OTHER_FLEET_KEY, TIME, manifest_of, message, sealed
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from tests.responder.messages import signed as signed_text
from wellkeeper_client import records, wire
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import key_id
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.errors import FleetError, InstallError, OlderManifestError

ONE = manifest_of(sealed())
FIRST, SECOND, THIRD = (message(ONE, number=number) for number in (1, 2, 3))
HEADER = {"typ": Kind.MANIFEST.message_type, "alg": wire.ALGORITHM, "kid": key_id(FLEET_KEY.public_key())}


@pytest.fixture
def file(folder: Path) -> ManifestFile:
    return ManifestFile(folder / "manifest.jws", FLEET_KEYS)


def kept(file: ManifestFile) -> int | None:
    found = file.read()
    return found.manifest.number if found else None


def test_manifest_is_kept_whole_for_its_owner_only(file: ManifestFile, folder: Path) -> None:
    assert file.read() is None
    taken = file.take(FIRST)
    assert taken.manifest == ONE
    assert taken == ManifestFile(folder / "manifest.jws", FLEET_KEYS).read()
    assert (folder / "manifest.jws").read_bytes() == FIRST
    assert (folder / "manifest.jws").stat().st_mode & 0o7777 == 0o600


def test_newer_manifest_replaces_the_kept_one_and_an_older_one_does_not(file: ManifestFile) -> None:
    file.take(SECOND)
    with pytest.raises(OlderManifestError, match=r"ignored manifest 1: manifest 2 is known"):
        file.take(FIRST)
    assert kept(file) == 2
    assert file.take(SECOND).manifest.number == 2
    assert file.take(THIRD).manifest.number == 3
    assert kept(file) == 3


def test_another_manifest_with_the_same_number_is_refused(file: ManifestFile) -> None:
    file.take(SECOND)
    with pytest.raises(FleetError, match="another one with this number is known") as caught:
        file.take(message(ONE, number=2, issued_at=TIME + 1))
    assert not isinstance(caught.value, OlderManifestError)
    assert file.read() == file.take(SECOND)


def test_manifests_in_any_order_end_with_the_highest(folder: Path) -> None:
    messages = [message(ONE, number=number) for number in range(1, 5)]
    for name, order in enumerate(itertools.permutations(messages)):
        file = ManifestFile(folder / f"{name}.jws", FLEET_KEYS)
        highest = 0
        for offered in order:
            number = messages.index(offered) + 1
            try:
                file.take(offered)
            except OlderManifestError:
                assert number < highest
            highest = max(number, highest)
            assert kept(file) == highest


def test_kept_manifest_of_the_former_key_is_read_but_none_is_taken(folder: Path) -> None:
    ManifestFile(folder / "manifest.jws", FLEET_KEYS).take(FIRST)
    public = OTHER_FLEET_KEY.public_key()
    file = ManifestFile(folder / "manifest.jws", {key_id(public): public}, FLEET_KEYS)
    assert kept(file) == 1
    with pytest.raises(FleetError, match="the key in 'kid' is not trusted"):
        file.take(SECOND)
    file.take(message(ONE, OTHER_FLEET_KEY, number=2))
    assert kept(file) == 2


def test_manifest_that_was_forged_changed_or_cut_is_refused(file: ManifestFile) -> None:
    file.take(FIRST)
    for offered, words in (
        (message(ONE, OTHER_FLEET_KEY, number=9), "the key in 'kid' is not trusted"),
        (SECOND[:-9] + b"AAAAAAAAA", "signature"),
        (SECOND[: len(SECOND) // 2], "not a compact JWS"),
        (b"", "not a compact JWS"),
        (b"\xff" * 500, "not a compact JWS"),
        (b"A" * (Kind.MANIFEST.longest + 1), "bytes, at most"),
        (SECOND + b"\n", "base64url"),
        (signed_text(HEADER, "[" * 90_000, FLEET_KEY), "the payload is not valid JSON"),
        (signed(Record("manifest/other", 9, TIME, TIME + 60, ONE.to_record().body)), "its key is 'manifest/other'"),
        (signed(replace(ONE.to_record(), body={})), "expected an object with the members"),
        (signed(Record("node/web1", 9, TIME, TIME + 60, ONE.to_record().body)), "'typ' is"),
    ):
        with pytest.raises(FleetError, match="cannot use the manifest") as caught:
            file.take(offered)
        assert words in caught.value.why, caught.value.why
    assert kept(file) == 1


def signed(record: Record, key: Ed25519PrivateKey = FLEET_KEY) -> bytes:
    return records.sign(record, key).encode()


def test_old_manifest_stays_in_force(file: ManifestFile) -> None:
    """Certificates must stay where a lost issuer put them: only the report names the age."""
    file.take(message(ONE, issued_at=1))
    assert kept(file) == 1


def test_random_changes_of_a_message_are_never_kept(file: ManifestFile) -> None:
    file.take(FIRST)
    choose = random.Random(16)  # noqa: S311 - repeatable
    for _ in range(200):
        changed = bytearray(THIRD)
        changed[choose.randrange(len(changed))] ^= 1 << choose.randrange(8)
        with pytest.raises(FleetError):
            file.take(bytes(changed))
    assert kept(file) == 1


@pytest.mark.parametrize("damage", [b"", SECOND[:100], b"\0" * 500], ids=["empty", "truncated", "zeros"])
def test_damaged_file_is_reported_and_replaced(
    file: ManifestFile, folder: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    (folder / "manifest.jws").write_bytes(damage)
    assert file.read() is None
    assert f"ignored the manifest in {folder}/manifest.jws: " in caplog.text
    assert file.take(FIRST) == file.read()


def test_manifest_of_a_key_that_is_not_trusted_any_more_does_not_block_the_next(folder: Path) -> None:
    """A thief with the fleet key can sign the highest number; a person then replaces the key on each node."""
    path = folder / "manifest.jws"
    ManifestFile(path, FLEET_KEYS).take(message(ONE, number=records.MAX_NUMBER))
    public = OTHER_FLEET_KEY.public_key()
    file = ManifestFile(path, {key_id(public): public})
    assert file.take(message(ONE, OTHER_FLEET_KEY, number=2)).manifest.number == 2


def test_next_fleet_key_continues_the_numbers(folder: Path) -> None:
    public = OTHER_FLEET_KEY.public_key()
    file = ManifestFile(folder / "manifest.jws", {**FLEET_KEYS, key_id(public): public})
    file.take(SECOND)
    with pytest.raises(OlderManifestError):
        file.take(message(ONE, OTHER_FLEET_KEY, number=1))
    assert file.take(message(ONE, OTHER_FLEET_KEY, number=3)).manifest.number == 3


def test_file_that_cannot_be_written_or_read_is_an_error(folder: Path) -> None:
    (folder / "file").touch()
    (folder / "manifest.jws").mkdir()
    with pytest.raises(InstallError, match=f"cannot use {folder}/file/manifest.lock: Not a directory"):
        ManifestFile(folder / "file/manifest.jws", FLEET_KEYS).take(FIRST)
    with pytest.raises(InstallError, match=f"cannot use {folder}/manifest.jws: Is a directory"):
        ManifestFile(folder / "manifest.jws", FLEET_KEYS).read()
