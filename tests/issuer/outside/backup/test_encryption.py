"""Encryption in the age format: the program age and we read each other's files."""

import os
from pathlib import Path
from typing import Final

import pyrage  # type: ignore[import-untyped]
import pytest

from tests.issuer.ages import make_identity, tool
from wellkeeper_issuer.errors import BackupError
from wellkeeper_issuer.outside.backup.encryption import (
    Identities,
    Passphrase,
    Recipients,
    check_format,
    is_for_passphrase,
    patient,
)

PLAIN: Final = os.urandom(100_000)
# Deriving a key takes a second of CPU time, and several on a busy machine.
PASSPHRASE: Final = Passphrase("correct horse battery staple")


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two identity files."""
    folder = tmp_path_factory.mktemp("identities")
    paths = [folder / name for name in ("one", "two")]
    for path in paths:
        make_identity(path)
    return paths


def public_key(identity: Path) -> str:
    return tool("age-keygen", "-y", identity).decode().strip()


@pytest.fixture(scope="module")
def encrypted(identities: list[Path]) -> bytes:
    """Return a file for the first identity."""
    return Recipients([public_key(identities[0])]).encrypt(PLAIN)


def refusal(decrypt: object, content: bytes) -> BackupError:
    assert isinstance(decrypt, Identities | Passphrase)
    with pytest.raises(BackupError) as refused:
        decrypt.decrypt(content)
    return refused.value


def test_age_decrypts_with_the_key_of_each_recipient(identities: list[Path]) -> None:
    encrypted = Recipients([public_key(one) for one in identities]).encrypt(PLAIN)
    check_format(encrypted)
    assert not is_for_passphrase(encrypted)
    for one in identities:
        assert tool("age", "-d", "-i", one, given=encrypted) == PLAIN
        assert Identities([one.read_bytes()]).decrypt(encrypted) == PLAIN


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_age_decrypts_with_an_ssh_key(tmp_path: Path, kind: str) -> None:
    tool("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / "key")
    encrypted = Recipients([(tmp_path / "key.pub").read_text().strip()]).encrypt(PLAIN)
    assert tool("age", "-d", "-i", tmp_path / "key", given=encrypted) == PLAIN
    assert Identities([(tmp_path / "key").read_bytes()]).decrypt(encrypted) == PLAIN


def test_we_decrypt_what_age_encrypted(identities: list[Path]) -> None:
    encrypted = tool("age", "-r", public_key(identities[0]), given=PLAIN)
    assert Identities([identities[0].read_bytes()]).decrypt(encrypted) == PLAIN


def test_passphrase_decrypts_and_another_does_not() -> None:
    encrypted = PASSPHRASE.encrypt(PLAIN)
    assert is_for_passphrase(encrypted)
    assert PASSPHRASE.decrypt(encrypted) == PLAIN
    assert refusal(Passphrase("wrong"), encrypted).remedy == "Check the passphrase. The file may also be damaged."


def test_wrong_key_is_named_as_the_likely_cause(identities: list[Path], encrypted: bytes) -> None:
    error = refusal(Identities([identities[1].read_bytes()]), encrypted)
    assert error.lines == (
        "cannot decrypt the backup",
        "No matching keys found",
        "Pass the private key of one of its recipients with --identity. The file may also be damaged.",
    )


@pytest.mark.parametrize("cut", [-1, -70_000, 150, 60])
def test_truncated_file_is_refused(identities: list[Path], encrypted: bytes, cut: int) -> None:
    error = refusal(Identities([identities[0].read_bytes()]), encrypted[:cut])
    assert error.what == "cannot decrypt the backup"


def test_changed_file_is_refused(identities: list[Path], encrypted: bytes) -> None:
    changed = bytearray(encrypted)
    changed[-500] ^= 1
    error = refusal(Identities([identities[0].read_bytes()]), bytes(changed))
    assert error.what == "cannot decrypt the backup"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is not a file in the age format"),
        (b"PK\3\4", "it is not a file in the age format"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "it is armored"),
    ],
)
def test_other_formats_are_refused(content: bytes, why: str) -> None:
    assert refusal(PASSPHRASE, content).why == why


@pytest.mark.parametrize("key", ["age1nonsense", "ssh-ed25519 nonsense", "AGE-SECRET-KEY-1", ""])
def test_recipient_that_is_not_a_public_key_is_refused(key: str) -> None:
    with pytest.raises(BackupError) as refused:
        Recipients([key]).encrypt(PLAIN)
    assert refused.value.remedy == "Use the public key that age-keygen shows (age1…), or a public key of SSH."


@pytest.mark.parametrize("text", [b"nonsense", b"\xff", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", b"AGE-SECRET-KEY-1X"])
def test_identity_that_is_not_a_private_key_is_refused_without_showing_it(encrypted: bytes, text: bytes) -> None:
    assert refusal(Identities([text]), encrypted).lines == (
        "cannot use the identity",
        "it is not a private key that age knows",
        "Name the file that age-keygen wrote, or an SSH key without a passphrase.",
    )


@pytest.mark.parametrize(("refusals", "is_decrypted"), [(0, True), (19, True), (20, False)])
def test_machine_that_seems_too_slow_for_a_moment_is_asked_again(refusals: int, *, is_decrypted: bool) -> None:
    answers = ["Excessive work parameter for passphrase. Decryption would take around 32 seconds."] * refusals
    decrypt = patient(lambda: decrypted_after(answers))
    if is_decrypted:
        assert decrypt() == PLAIN
        return
    with pytest.raises(pyrage.DecryptError, match="Excessive"):
        decrypt()


def decrypted_after(refusals: list[str]) -> bytes:
    if refusals:
        raise pyrage.DecryptError(refusals.pop())
    return PLAIN


def test_other_refusal_is_final() -> None:
    answers = ["Decryption failed", "Decryption failed"]
    with pytest.raises(pyrage.DecryptError, match="Decryption failed"):
        patient(lambda: decrypted_after(answers))()
    assert len(answers) == 1


def test_passphrase_that_takes_hours_is_refused_with_what_to_do() -> None:
    content = (
        b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 40\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"
    )
    refused = refusal(PASSPHRASE, content + bytes(100))
    assert refused.why.startswith("Excessive work parameter")
    assert refused.remedy == "Try again when this machine is less busy, or on a faster one."
