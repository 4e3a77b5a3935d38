"""Keys and account records in `state_dir`: created once, owner-only, never overwritten; damage is reported."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint

UNKNOWN_ALGORITHM = b"-----BEGIN PRIVATE KEY-----\nMBACAQAwBQYDKgMEBAQAAAAA\n-----END PRIVATE KEY-----\n"
CA = "https://ca.example/directory"
OTHER = "https://ca.example/other/directory"
CA_KEY, OTHER_KEY = "accounts/ca.example-0d5eb258.pem", "accounts/ca.example-0a471dd3.pem"


@pytest.fixture
def state_dir(folder: Path) -> Path:
    return folder / "deep/issuer"


@pytest.fixture
def accounts(state_dir: Path) -> AccountFolder:
    return AccountFolder(state_dir, (CA, OTHER))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def test_keys_are_owner_only_under_any_umask(accounts: AccountFolder, state_dir: Path) -> None:
    umask = os.umask(0)
    try:
        made = accounts.make_keys()
    finally:
        os.umask(umask)
    assert made == (state_dir / CA_KEY, state_dir / OTHER_KEY, state_dir / "publishing_key.pem")
    assert [mode(path) for path in made] == [0o600, 0o600, 0o600]
    assert [mode(path) for path in (state_dir, state_dir / "accounts")] == [0o700, 0o700]
    assert isinstance(accounts.account_key(CA), ec.EllipticCurvePrivateKey)
    assert account_thumbprint(accounts.account_key(CA)) != account_thumbprint(accounts.account_key(OTHER))
    assert isinstance(accounts.publishing_key, ed25519.Ed25519PrivateKey)


def test_existing_keys_are_never_replaced(accounts: AccountFolder, state_dir: Path) -> None:
    accounts.make_keys()
    account_key = (state_dir / CA_KEY).read_bytes()
    (state_dir / "publishing_key.pem").unlink()
    assert accounts.make_keys() == (state_dir / "publishing_key.pem",)
    assert accounts.make_keys() == ()
    assert (state_dir / CA_KEY).read_bytes() == account_key


def test_damaged_key_is_kept_for_repair(accounts: AccountFolder, state_dir: Path) -> None:
    accounts.make_keys()
    (state_dir / "publishing_key.pem").write_bytes(b"half a k")
    assert accounts.make_keys() == ()
    assert (state_dir / "publishing_key.pem").read_bytes() == b"half a k"


def test_leftovers_of_a_crash_are_replaced(accounts: AccountFolder, state_dir: Path) -> None:
    state_dir.mkdir(parents=True)
    (state_dir / ".publishing_key.pem.tmp").write_bytes(b"half a k")
    accounts.make_keys()
    assert isinstance(accounts.publishing_key, ed25519.Ed25519PrivateKey)
    assert sorted(path.name for path in state_dir.iterdir()) == ["accounts", "publishing_key.pem"]


def test_broken_link_is_not_replaced(accounts: AccountFolder, state_dir: Path) -> None:
    """Keep the link: its target may be on a file system that is not mounted now."""
    state_dir.mkdir(parents=True)
    (state_dir / "publishing_key.pem").symlink_to("/nowhere/publishing_key.pem")
    with pytest.raises(SettingsError, match=r"cannot use .*publishing_key\.pem.*: File exists"):
        accounts.make_keys()
    assert (state_dir / "publishing_key.pem").is_symlink()


def test_existing_directory_keeps_its_mode(accounts: AccountFolder, state_dir: Path) -> None:
    state_dir.mkdir(parents=True, mode=0o750)
    accounts.make_keys()
    assert mode(state_dir) == 0o750


def test_state_dir_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        SettingsError, match=r"cannot use /.*/file.*: .*Run the command with sudo, or as the issuer's user"
    ):
        AccountFolder(tmp_path / "file/issuer", (CA,)).make_keys()


@pytest.mark.parametrize(("name", "key"), [(CA_KEY, "account"), ("publishing_key.pem", "publishing")])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"is not an unencrypted PEM key: .*\. Restore the key from a backup"),
        (b"half a k", "is not an unencrypted PEM key"),
        (pem(ed25519.Ed25519PrivateKey.generate(), b"password"), "is not an unencrypted PEM key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "Restore the key from a backup"),
        (UNKNOWN_ALGORITHM, "is not an unencrypted PEM key"),
        (None, "does not exist.*Run 'wellkeeper init' to create"),
    ],
    ids=["empty", "not a key", "encrypted", "unsupported type", "unknown type", "missing"],
)
def test_unusable_key_is_named(
    accounts: AccountFolder, state_dir: Path, name: str, key: str, content: bytes | None, words: str
) -> None:
    accounts.make_keys()
    (state_dir / name).unlink()
    if content is not None:
        (state_dir / name).write_bytes(content)
    with pytest.raises(SettingsError, match=f"{name}.*{words}"):
        _ = accounts.account_key(CA) if key == "account" else accounts.publishing_key


def test_swapped_keys_are_detected(accounts: AccountFolder, state_dir: Path) -> None:
    accounts.make_keys()
    account_key, publishing_key = state_dir / CA_KEY, state_dir / "publishing_key.pem"
    contents = account_key.read_bytes(), publishing_key.read_bytes()
    account_key.write_bytes(contents[1])
    publishing_key.write_bytes(contents[0])
    with pytest.raises(SettingsError, match="is neither a P-256 key nor"):
        accounts.account_key(CA)
    with pytest.raises(SettingsError, match="is not an Ed25519 key"):
        _ = accounts.publishing_key


def test_missing_account_key_points_to_init_and_the_responders(accounts: AccountFolder) -> None:
    accounts.make_keys()
    new = "https://new.example/directory"
    with pytest.raises(
        SettingsError,
        match=rf"no account key for the CA {new}: .*Run 'wellkeeper init' to create it, then",
    ):
        accounts.account_key(new)


def test_account_is_recorded_per_directory(accounts: AccountFolder, state_dir: Path) -> None:
    accounts.make_keys()
    assert accounts.read(CA) is None
    first = AccountRecord(CA, "https://ca.example/account/1")
    other = AccountRecord(OTHER, "https://ca.example/account/2", is_deactivated=True)
    second = AccountRecord(CA, "https://ca.example/account/3")
    for record in (first, other, second):
        accounts.record(record)
    again = AccountFolder(state_dir, (CA,))
    assert (again.read(CA), again.read(OTHER)) == (second, other)
    records = sorted((state_dir / "accounts").glob("ca.example-*.json"))
    assert [mode(path) for path in records] == [0o600, 0o600]
    assert not list((state_dir / "accounts").glob(".*"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"3"])
def test_damaged_record_is_named(accounts: AccountFolder, state_dir: Path, content: bytes) -> None:
    accounts.make_keys()
    accounts.record(AccountRecord(CA, "https://ca.example/account/1"))
    (record,) = (state_dir / "accounts").glob("*.json")
    record.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"{record.name} is damaged: .*the CA will return the account URL"):
        accounts.read(CA)
