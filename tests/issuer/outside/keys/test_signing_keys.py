"""A signing key with its successor and its predecessor: each step is repeatable, and none loses a key."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_issuer.outside.keys.signing_keys import SigningKey


@pytest.fixture
def key(folder: Path) -> SigningKey:
    made = SigningKey(folder, "publishing_key", "publishing")
    key_files.make_ed25519_key(made.path)
    return made


def raw(key: SigningKey) -> list[bytes]:
    return [one.public_bytes_raw() for one in key.trusted]


def test_next_key_is_made_once_and_signs_after_the_switch(key: SigningKey) -> None:
    (first,) = raw(key)
    assert key.prepare()
    assert not key.prepare()
    assert key.next_path.stat().st_mode & 0o7777 == 0o600
    second = raw(key)[1]
    assert raw(key) == [first, second]
    key.switch()
    assert key.current.public_key().public_bytes_raw() == second
    assert raw(key) == [second, first]
    assert key.retire()
    assert raw(key) == [second]
    assert not key.retire()


def test_former_key_keeps_no_secret(key: SigningKey, folder: Path) -> None:
    key.prepare()
    key.switch()
    assert (folder / "publishing_key.former.pem").read_text().startswith("-----BEGIN PUBLIC KEY-----")


def test_switch_needs_a_next_key(key: SigningKey) -> None:
    with pytest.raises(
        SettingsError, match=r"next\.pem does not exist\. Run 'wellkeeper key prepare publishing' first"
    ):
        key.switch()


def test_second_switch_waits_until_the_former_key_is_retired(key: SigningKey) -> None:
    key.prepare()
    key.switch()
    key.prepare()
    before = raw(key)
    with pytest.raises(SettingsError, match="the key before the last switch is still trusted"):
        key.switch()
    assert raw(key) == before


def test_switch_that_was_interrupted_before_its_rename_changed_nothing_and_is_repeated(
    key: SigningKey, folder: Path
) -> None:
    key.prepare()
    before = raw(key)
    pem = key.current.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "publishing_key.former.pem").write_bytes(pem)
    assert raw(key) == before
    key.switch()
    assert raw(key) == before[::-1]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"half a k", "Unable to load PEM|MalformedFraming|no start line|not"),
        (
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "it is not an Ed25519 key",
        ),
    ],
    ids=["damaged", "of another kind"],
)
def test_former_key_that_cannot_be_read_is_named(key: SigningKey, folder: Path, content: bytes, why: str) -> None:
    path = folder / "publishing_key.former.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=rf"(?s)cannot read the former key {path}: .*({why}).*Run 'rm {path}'"):
        _ = key.former
