"""Keys and state that other users may change are refused; those that they may read are warned about."""

import logging
from pathlib import Path

import pytest

from wellkeeper_issuer.errors import JournalError, SettingsError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.state.lock import LocalOwnership

URL = "https://ca.example/directory"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    AccountFolder(folder, (URL,)).make_keys()
    (folder / "state.db").touch(0o600)
    return folder


async def use(state_dir: Path) -> None:
    """Read both keys and own the state."""
    folder = AccountFolder(state_dir, (URL,))
    _ = folder.publishing_key
    folder.account_key(URL)
    async with LocalOwnership(state_dir).hold("renew"):
        pass


def let_all_pass(folder: Path) -> None:
    folder.chmod(0o755)


@pytest.mark.parametrize("mode", [0o777, 0o620, 0o602])
@pytest.mark.parametrize("name", [".", "state.db", "accounts", "publishing_key.pem", "an account key"])
async def test_state_or_key_that_others_may_write_is_refused(state_dir: Path, name: str, mode: int) -> None:
    await use(state_dir)
    path = next((state_dir / "accounts").glob("*.pem")) if name == "an account key" else state_dir / name
    path.chmod(mode | 0o100 if path.is_dir() else mode)
    with pytest.raises((SettingsError, JournalError)) as refused:
        await use(state_dir)
    assert refused.value.what.startswith(f"cannot trust {state_dir}")
    assert f" may write to {path} " in refused.value.why
    assert refused.value.remedy == f"Run 'chmod go-w {path}'."


async def test_private_state_is_silent(state_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await use(state_dir)
    assert caplog.records == []


async def test_key_that_others_may_read_is_warned_about(state_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = state_dir / "publishing_key.pem"
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        _ = AccountFolder(state_dir, (URL,)).publishing_key
    assert [record.getMessage() for record in caplog.records] == [
        f"other users may read {path}: run 'chmod go= {path}'"
    ]


async def test_journal_that_others_may_read_is_warned_about(state_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = state_dir / "state.db"
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        await use(state_dir)
        assert caplog.records == []  # the directory keeps others out
        let_all_pass(state_dir)
        await use(state_dir)
    assert [record.getMessage() for record in caplog.records] == [
        f"other users may read {path}: run 'chmod go= {state_dir}'"
    ]


async def test_lock_that_is_a_link_is_not_followed(state_dir: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("content")
    (state_dir / "state.lock").symlink_to(precious)
    with pytest.raises(JournalError):
        await use(state_dir)
    assert precious.read_text() == "content"
