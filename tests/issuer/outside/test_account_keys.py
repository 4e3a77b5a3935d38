"""The account key of each CA: what one key of an earlier version becomes, and how one follows another."""

import os
from pathlib import Path

import pytest

from wellkeeper_issuer.errors import Retry, SettingsError
from wellkeeper_issuer.outside import key_files
from wellkeeper_issuer.outside.accounts import AccountFolder, AccountRecord
from wellkeeper_issuer.outside.key_files import account_thumbprint

FIRST, SECOND, THIRD = (f"https://{name}.example/directory" for name in ("first", "second", "third"))


@pytest.fixture
def state_dir(folder: Path) -> Path:
    return folder / "issuer"


@pytest.fixture
def accounts(state_dir: Path) -> AccountFolder:
    return AccountFolder(state_dir, (FIRST, SECOND, THIRD))


def shared_key(state_dir: Path, *records: str) -> str:
    """The folder as earlier versions left it, with accounts at these CAs; the thumbprint that responders know."""
    path = state_dir / "accounts/account_key.pem"
    path.parent.mkdir(parents=True)
    key_files.make_account_key(path)
    for url in records:
        AccountFolder(state_dir, (FIRST,)).record(AccountRecord(url, f"{url}/account/1"))
    return account_thumbprint(key_files.read_account_key(path))


def thumbprint(accounts: AccountFolder, url: str) -> str:
    return account_thumbprint(accounts.account_key(url))


def test_single_key_of_earlier_versions_goes_on_without_init(accounts: AccountFolder, state_dir: Path) -> None:
    shared = shared_key(state_dir, SECOND)
    assert [thumbprint(accounts, url) for url in (FIRST, SECOND)] == [shared, shared]
    with pytest.raises(SettingsError, match=f"no account key for the CA {THIRD}"):
        accounts.account_key(THIRD)
    assert (state_dir / "accounts/account_key.pem").exists()


def test_only_a_key_that_is_missing_or_damaged_waits_for_a_person(accounts: AccountFolder) -> None:
    accounts.make_keys()
    path = accounts.key_path(FIRST)
    path.write_bytes(b"no key")
    damaged = _refusal(accounts)
    path.unlink()
    missing = _refusal(accounts)
    path.mkdir()  # EISDIR stands for what root cannot be refused
    unreadable = _refusal(accounts)
    assert [error.retry for error in (damaged, missing, unreadable)] == [Retry.NEVER, Retry.NEVER, Retry.SOON]
    assert "Is a directory" in str(unreadable)


def _refusal(accounts: AccountFolder) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        accounts.account_key(FIRST)
    return caught.value


def test_single_key_stays_the_key_of_each_ca_that_knows_it(accounts: AccountFolder, state_dir: Path) -> None:
    shared = shared_key(state_dir, SECOND)
    made = accounts.make_keys()
    assert made == (accounts.key_path(THIRD), state_dir / "publishing_key.pem")
    assert [thumbprint(accounts, url) for url in (FIRST, SECOND)] == [shared, shared]
    assert thumbprint(accounts, THIRD) != shared
    assert not (state_dir / "accounts/account_key.pem").exists()
    assert accounts.make_keys() == ()


def test_account_at_a_ca_that_left_the_settings_keeps_its_key(state_dir: Path) -> None:
    shared = shared_key(state_dir, THIRD)
    AccountFolder(state_dir, (FIRST,)).make_keys()
    assert thumbprint(AccountFolder(state_dir, (FIRST, THIRD)), THIRD) == shared


def test_migration_that_was_killed_in_between_is_gone_on_with(accounts: AccountFolder, state_dir: Path) -> None:
    shared = shared_key(state_dir, SECOND)
    os.link(state_dir / "accounts/account_key.pem", accounts.key_path(SECOND))
    assert [thumbprint(accounts, url) for url in (FIRST, SECOND)] == [shared, shared]
    accounts.make_keys()
    assert [thumbprint(accounts, url) for url in (FIRST, SECOND)] == [shared, shared]


def test_link_to_a_key_that_is_kept_elsewhere_stays_a_link(accounts: AccountFolder, state_dir: Path) -> None:
    shared = shared_key(state_dir)
    path = state_dir / "accounts/account_key.pem"
    path.rename(state_dir / "elsewhere.pem")
    path.symlink_to("../elsewhere.pem")
    accounts.make_keys()
    assert accounts.key_path(FIRST).is_symlink()
    assert thumbprint(accounts, FIRST) == shared


def test_next_key_is_made_once_and_told_beside_the_present_one(accounts: AccountFolder) -> None:
    accounts.make_keys()
    following = accounts.make_next_account_key(SECOND)
    assert account_thumbprint(accounts.make_next_account_key(SECOND)) == account_thumbprint(following)
    assert accounts.next_key_path(SECOND).stat().st_mode & 0o777 == 0o600
    assert [url for url, _ in accounts.account_keys()] == [FIRST, SECOND, SECOND, THIRD]
    assert accounts.next_account_key(FIRST) is None


def test_next_key_takes_the_place_of_the_present_one(accounts: AccountFolder) -> None:
    accounts.make_keys()
    following = account_thumbprint(accounts.make_next_account_key(FIRST))
    stamp = accounts.key_stamp(FIRST)
    accounts.take_next_account_key(FIRST)
    accounts.take_next_account_key(FIRST)
    assert (thumbprint(accounts, FIRST), accounts.next_account_key(FIRST)) == (following, None)
    assert accounts.key_stamp(FIRST) != stamp


def test_next_key_leaves_the_shared_one_to_the_other_cas(accounts: AccountFolder, state_dir: Path) -> None:
    shared = shared_key(state_dir, SECOND)
    following = account_thumbprint(accounts.make_next_account_key(FIRST))
    accounts.take_next_account_key(FIRST)
    assert [thumbprint(accounts, url) for url in (FIRST, SECOND)] == [following, shared]
    assert not (state_dir / "accounts/account_key.pem").exists()


def test_no_next_key_without_a_present_one(accounts: AccountFolder) -> None:
    with pytest.raises(SettingsError, match="no account key"):
        accounts.make_next_account_key(FIRST)
