"""The account key of each CA, and its successor."""

from pathlib import Path

import pytest

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_node.errors import Retry

FIRST, SECOND, THIRD = (f"https://{name}.example/directory" for name in ("first", "second", "third"))


@pytest.fixture
def state_dir(folder: Path) -> Path:
    return folder / "issuer"


@pytest.fixture
def accounts(state_dir: Path) -> AccountFolder:
    return AccountFolder(state_dir, (FIRST, SECOND, THIRD))


def thumbprint(accounts: AccountFolder, url: str) -> str:
    return account_thumbprint(accounts.account_key(url))


def test_only_a_missing_or_damaged_key_is_a_permanent_failure(accounts: AccountFolder) -> None:
    accounts.make_keys()
    path = accounts.key_path(FIRST)
    path.write_bytes(b"no key")
    damaged = _refusal(accounts)
    path.unlink()
    missing = _refusal(accounts)
    path.mkdir()  # EISDIR, because root is never refused permission
    unreadable = _refusal(accounts)
    assert [error.retry for error in (damaged, missing, unreadable)] == [Retry.NEVER, Retry.NEVER, Retry.SOON]
    assert "Is a directory" in str(unreadable)


def _refusal(accounts: AccountFolder) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        accounts.account_key(FIRST)
    return caught.value


def test_link_to_a_key_elsewhere_stays_a_link(accounts: AccountFolder, state_dir: Path) -> None:
    accounts.make_keys()
    path, made = accounts.key_path(FIRST), thumbprint(accounts, FIRST)
    path.rename(state_dir / "elsewhere.pem")
    path.symlink_to("../elsewhere.pem")
    assert accounts.make_keys() == ()
    assert path.is_symlink()
    assert thumbprint(accounts, FIRST) == made


def test_next_key_is_created_once_and_listed_after_the_present_one(accounts: AccountFolder) -> None:
    accounts.make_keys()
    following = accounts.make_next_account_key(SECOND)
    assert account_thumbprint(accounts.make_next_account_key(SECOND)) == account_thumbprint(following)
    assert accounts.next_key_path(SECOND).stat().st_mode & 0o777 == 0o600
    assert [url for url, _ in accounts.account_keys()] == [FIRST, SECOND, SECOND, THIRD]
    assert accounts.next_account_key(FIRST) is None


def test_next_key_replaces_the_present_one(accounts: AccountFolder) -> None:
    accounts.make_keys()
    following = account_thumbprint(accounts.make_next_account_key(FIRST))
    stamp = accounts.key_stamp(FIRST)
    accounts.take_next_account_key(FIRST)
    accounts.take_next_account_key(FIRST)
    assert (thumbprint(accounts, FIRST), accounts.next_account_key(FIRST)) == (following, None)
    assert accounts.key_stamp(FIRST) != stamp


def test_next_key_requires_a_present_one(accounts: AccountFolder) -> None:
    with pytest.raises(SettingsError, match="no account key"):
        accounts.make_next_account_key(FIRST)
