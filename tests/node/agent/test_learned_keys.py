"""Fleet keys that a node learns: only from the key before them, once, and until a person writes other ones."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes import FakeClock
from tests.fleet import OTHER_FLEET_KEY, manifest_of, message
from tests.relay.messages import FLEET_KEY
from wellkeeper_client.signing import decode_public_key, encode_public_key, key_id
from wellkeeper_node.agent.learned_keys import FILE, LearnedKeys, by_id
from wellkeeper_node.agent.manifests import Manifests
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.errors import FleetError, InstallError

A, B, C, D, EVIL = (
    encode_public_key(Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)).public_key()) for number in range(1, 6)
)


def kid(key: str) -> str:
    return key_id(decode_public_key(key))


def trusted(folder: Path, *written: str) -> tuple[str, ...]:
    return LearnedKeys(folder, written).trusted


def test_keys_of_the_trust_file_are_trusted_until_others_are_learned(folder: Path) -> None:
    keys = LearnedKeys(folder, (A, B))
    keys.learn(kid(A), ())
    keys.learn(kid(A), (A, B))
    assert keys.trusted == (A, B)
    assert not (folder / FILE).exists()


def test_successor_is_named_by_the_key_before_it_and_ends_the_one_before_that(folder: Path) -> None:
    keys = LearnedKeys(folder, (A, B))
    keys.learn(kid(B), (B, C))
    assert trusted(folder, A, B) == (B, C)
    keys.learn(kid(C), (C, D))
    keys.learn(kid(C), (C, D))
    assert trusted(folder, A, B) == (C, D)
    assert (folder / FILE).stat().st_mode & 0o7777 == 0o600


def test_key_without_a_known_successor_names_one(folder: Path) -> None:
    LearnedKeys(folder, (A,)).learn(kid(A), (A, B))
    assert trusted(folder, A) == (A, B)


@pytest.mark.parametrize(
    ("signer", "named"),
    [(A, (A, EVIL)), (A, (B, EVIL)), (A, (A,)), (EVIL, (EVIL, A)), (EVIL, (A, EVIL)), (A, (EVIL,))],
    ids=["another successor", "of another key", "no successor", "unknown key", "unknown signer", "without the signer"],
)
def test_current_key_cannot_replace_the_next_one(folder: Path, signer: str, named: tuple[str, ...]) -> None:
    keys = LearnedKeys(folder, (A, B))
    with pytest.raises(FleetError, match="ignored new fleet keys: the manifest names keys other"):
        keys.learn(kid(signer), named)
    assert trusted(folder, A, B) == (A, B)


def test_former_key_names_nothing(folder: Path) -> None:
    keys = LearnedKeys(folder, (A, B))
    keys.learn(kid(B), (B, C))
    with pytest.raises(FleetError):
        keys.learn(kid(A), (A, EVIL))
    assert keys.trusted == (B, C)


def test_another_trust_file_replaces_what_was_learned(folder: Path) -> None:
    LearnedKeys(folder, (A, B)).learn(kid(B), (B, C))
    assert trusted(folder, A, D) == (A, D)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"trust_file": [], "keys": []}', '{"trust_file": 1, "keys": ["x"]}']
)
def test_damaged_file_counts_as_none(folder: Path, content: str) -> None:
    (folder / FILE).write_text(content)
    assert trusted(folder, A, B) == (A, B)


def test_directory_that_cannot_be_written_is_an_error(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(InstallError):
        LearnedKeys(folder / "file", (A, B)).learn(kid(B), (B, C))


async def test_keys_that_a_manifest_names_are_learned_when_it_comes_and_after_a_crash(folder: Path) -> None:
    written = [encode_public_key(key.public_key()) for key in (FLEET_KEY, OTHER_FLEET_KEY)]
    following = C
    named = replace(manifest_of(), fleet_keys=(written[1], following))
    keys, file = LearnedKeys(folder, written), ManifestFile(folder / "manifest.jws", by_id(written))
    manifests = Manifests(file, FakeClock(), lambda: None, keys)
    await manifests.take(message(named, OTHER_FLEET_KEY))
    assert keys.trusted == (written[1], following)
    (folder / FILE).unlink()
    await Manifests(file, FakeClock(), lambda: None, keys).open()
    assert keys.trusted == (written[1], following)


async def test_keys_that_must_not_follow_are_a_concern(folder: Path) -> None:
    written = [encode_public_key(key.public_key()) for key in (FLEET_KEY, OTHER_FLEET_KEY)]
    keys, file = LearnedKeys(folder, written), ManifestFile(folder / "manifest.jws", by_id(written))
    manifests = Manifests(file, FakeClock(), lambda: None, keys)
    forged = (written[0], C)
    assert await manifests.take(message(replace(manifest_of(), fleet_keys=forged)))
    assert "ignored new fleet keys" in (manifests.concern or "")
    assert keys.trusted == tuple(written)
