"""The state on disk: durability, permissions, and damaged or foreign files."""

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.issuer.outside.states import ATTEMPT, ORDER, execute
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.state import State, open_state
from wellkeeper_issuer.records import Origin
from wellkeeper_node.model import Flip


def opened(folder: Path, *, may_write: bool = True) -> AbstractAsyncContextManager[State]:
    return open_state(folder / "state.db", may_write=may_write)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o7777 for path in folder.iterdir()}


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_attempt_survives_reopening_step_by_step(folder: Path) -> None:
    async with opened(folder) as state:
        await state.attempts.record_attempt(ATTEMPT)
    async with opened(folder) as state:
        assert await state.attempts.read_attempt("web") == ATTEMPT
        await state.attempts.record_order("web", ORDER)
    async with opened(folder) as state:
        assert await state.attempts.read_attempt("web") == ATTEMPT.with_order(ORDER)
        await state.attempts.record_chain("web", b"chain")
    async with opened(folder) as state:
        found = await state.attempts.read_attempt("web")
        assert found == replace(ATTEMPT.with_order(ORDER), chain_pem=b"chain")


async def test_delivery_goes_from_installed_to_reloaded_to_served(folder: Path) -> None:
    async with opened(folder) as state:
        await state.attempts.record_attempt(ATTEMPT)
        await state.deliveries.record_flip(Flip("web", None, "v1"))
    async with opened(folder) as state:
        assert await state.attempts.read_attempt("web") is None
        assert await state.deliveries.undelivered() == {"web": Flip("web", None, "v1")}
        assert await state.deliveries.unserved() == frozenset()
        await state.deliveries.record_reloaded(["web", "unknown"])
    async with opened(folder) as state:
        assert await state.deliveries.undelivered() == {}
        assert await state.deliveries.unserved() == frozenset({"web"})
        await state.deliveries.record_served("web")
    async with opened(folder) as state:
        assert await state.deliveries.undelivered() == {}
        assert await state.deliveries.unserved() == frozenset()
        assert await state.deliveries.read_origin("web") == Origin(
            "https://ca.example/directory", "https://ca.example/account/1"
        )
        assert await state.deliveries.read_origin("mail") is None


async def test_files_are_owner_only_under_any_umask(folder: Path) -> None:
    umask = os.umask(0)
    try:
        async with opened(folder) as state:
            await state.attempts.record_attempt(ATTEMPT)
            found = modes(folder)
    finally:
        os.umask(umask)
    assert found == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


async def test_installed_key_is_erased_from_the_journal(folder: Path) -> None:
    async with opened(folder) as state:
        await state.attempts.record_attempt(ATTEMPT)
        await state.deliveries.record_flip(Flip("web", None, "v1"))
    assert b"web" in contents(folder)
    assert b"certificate key" not in contents(folder)


async def test_each_write_is_on_the_disk_before_it_returns(folder: Path) -> None:
    async with opened(folder) as state:
        await state.attempts.record_attempt(ATTEMPT)
        assert b"certificate key" in (folder / "state.db-wal").read_bytes()


async def test_readers_do_not_wait_for_a_pass(folder: Path, state: State) -> None:
    await state.attempts.record_attempt(ATTEMPT)
    async with opened(folder, may_write=False) as reader:
        assert await reader.attempts.read_attempt("web") == ATTEMPT


async def test_foreign_file_is_reported_with_the_remedy(folder: Path) -> None:
    (folder / "state.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(JournalError, match=r"state\.db: .*Restore the file from a backup, or move it"):
        await opened(folder).__aenter__()


@pytest.mark.parametrize("offset", [4096, 8192, 12_288])
async def test_damaged_page_is_reported_when_the_file_is_opened(folder: Path, offset: int) -> None:
    async with opened(folder) as state:
        await state.attempts.record_attempt(ATTEMPT)
    path = folder / "state.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:offset] + b"\xa5" * 4096 + whole[offset + 4096 :])
    with pytest.raises(JournalError, match=r"state\.db: .*Restore the file from a backup"):
        await opened(folder).__aenter__()


async def test_damaged_row_is_reported_as_a_damaged_file(folder: Path, state: State) -> None:
    await state.attempts.record_attempt(ATTEMPT)
    execute(folder / "state.db", "UPDATE attempts SET identifiers = 'nonsense'")
    with pytest.raises(JournalError, match=r"state\.db: .*Restore the file from a backup"):
        await state.attempts.read_attempt("web")


async def test_refused_file_leaves_nothing_open(folder: Path) -> None:
    async with opened(folder):
        pass
    execute(folder / "state.db", "PRAGMA user_version = 11")
    with pytest.raises(JournalError, match="schema version 11"):
        await opened(folder).__aenter__()
    assert not (folder / "state.db-wal").exists()


async def test_unwritable_directory_is_named() -> None:
    # Not even root can create files there.
    with pytest.raises(JournalError, match=r"/proc/state\.db: .*Check space and permissions of state_dir"):
        await opened(Path("/proc")).__aenter__()


async def test_write_is_finished_before_a_cancellation_propagates(folder: Path, state: State) -> None:
    writing = asyncio.create_task(state.attempts.record_attempt(ATTEMPT))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    async with opened(folder, may_write=False) as reader:
        assert await reader.attempts.read_attempt("web") == ATTEMPT


async def test_veto_is_kept_until_forgotten_or_the_certificate_is_installed(folder: Path) -> None:
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    async with opened(folder) as state:
        for name in ("web", "mail"):
            await state.vetoes.record_vetoes(name, {"n1": at})
    async with opened(folder) as state:
        found = [await state.vetoes.read_vetoes(name) for name in ("web", "mail", "shop")]
        assert found == [{"n1": at}, {"n1": at}, {}]
        await state.attempts.record_attempt(ATTEMPT)
        await state.deliveries.record_flip(Flip("web", None, "v1"))
        await state.vetoes.forget_vetoes("mail")
        await state.vetoes.forget_vetoes("mail")
        assert [await state.vetoes.read_vetoes(name) for name in ("web", "mail")] == [{}, {}]


async def test_attempts_in_progress_are_listed_without_their_keys(folder: Path) -> None:
    async with opened(folder) as state:
        await state.attempts.record_attempt(ATTEMPT)
        await state.attempts.record_attempt(replace(ATTEMPT, lineage="mail", chain_pem=b"chain"))
        assert await state.attempts.under_way() == {
            "web": ATTEMPT.under_way,
            "mail": replace(ATTEMPT.under_way, has_chain=True),
        }
