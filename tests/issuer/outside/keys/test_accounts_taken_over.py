"""Import of another client's account: its key and URL are used, and existing keys are kept."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.keys import rsa_key
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.ca.messages import account_jwk, algorithm_of
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint

CA = "https://ca.example/directory"
IMPORTED = AccountRecord(CA, "https://ca.example/account/7")
RSA = rsa_key()


@pytest.fixture
def accounts(folder: Path) -> AccountFolder:
    return AccountFolder(folder / "issuer", (CA,))


def test_account_is_imported_into_an_empty_directory(accounts: AccountFolder) -> None:
    assert accounts.take_over(IMPORTED, RSA)
    assert accounts.read(CA) == IMPORTED
    assert account_thumbprint(accounts.account_key(CA)) == account_thumbprint(RSA)
    assert accounts.key_path(CA).stat().st_mode & 0o7777 == 0o600
    assert accounts.make_keys() == (accounts.key_path(CA).parent.parent / "publishing_key.pem",)


def test_unused_key_is_set_aside(accounts: AccountFolder) -> None:
    accounts.make_keys()
    before = accounts.key_path(CA).read_bytes()
    assert accounts.take_over(IMPORTED, RSA)
    assert accounts.key_path(CA).with_suffix(".unused.pem").read_bytes() == before
    assert account_thumbprint(accounts.account_key(CA)) == account_thumbprint(RSA)


def test_existing_account_is_kept(accounts: AccountFolder) -> None:
    accounts.make_keys()
    own = AccountRecord(CA, "https://ca.example/account/1")
    accounts.record(own)
    before = account_thumbprint(accounts.account_key(CA))
    assert not accounts.take_over(IMPORTED, RSA)
    assert (accounts.read(CA), account_thumbprint(accounts.account_key(CA))) == (own, before)


def test_repeated_import_changes_nothing(accounts: AccountFolder) -> None:
    for _ in range(2):
        assert accounts.take_over(IMPORTED, RSA)
    # As if killed between writing the key and the record.
    accounts.record_path(CA).unlink()
    assert accounts.take_over(IMPORTED, RSA)
    assert not accounts.key_path(CA).with_suffix(".unused.pem").exists()


def test_signature_algorithm_follows_the_key_type() -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    assert [algorithm_of(account_jwk(key)).name for key in (own, RSA)] == ["ES256", "RS256"]


def test_short_rsa_key_is_refused(accounts: AccountFolder) -> None:
    accounts.make_keys()
    path = accounts.key_path(CA)
    path.unlink()
    key_files.write_account_key(path, rsa_key("1024"))
    with pytest.raises(SettingsError, match="is neither a P-256 key nor an imported RSA key"):
        accounts.account_key(CA)
