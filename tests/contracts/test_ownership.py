"""Contract of `ports.state.Ownership` and `Held`: one process at a time owns the state."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes_ownership import FakeOwnership
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.lock import LOCK, LocalOwnership
from wellkeeper_issuer.ports.state import Held, Ownership


@dataclass(frozen=True, slots=True)
class Place:
    """`ownership` and `other` belong to two processes that use the same state; `take_away` makes the holder lose it."""

    ownership: Ownership
    other: Ownership
    take_away: Callable[[], None]


def _fake(_folder: Path) -> Place:
    ownership = FakeOwnership(os.getpid())

    def take_away() -> None:
        ownership.held.why = "another process took it"

    return Place(ownership, ownership, take_away)


def _deleted(folder: Path) -> Place:
    return Place(LocalOwnership(folder), LocalOwnership(folder), (folder / LOCK).unlink)


def _replaced(folder: Path) -> Place:
    def replace() -> None:
        (folder / "another").touch()
        (folder / "another").replace(folder / LOCK)

    return Place(LocalOwnership(folder), LocalOwnership(folder), replace)


@pytest.fixture(params=[_fake, _deleted, _replaced], ids=["fake", "local, deleted", "local, replaced"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    return made


async def is_free(place: Place) -> bool:
    try:
        async with place.other.hold("renew"):
            return True
    except JournalError:
        return False


async def test_second_process_is_refused_with_the_name_of_the_holder(place: Place) -> None:
    async with place.ownership.hold("revoke") as held:
        with pytest.raises(JournalError, match=rf"wellkeeper revoke.* \(pid {os.getpid()}\)"):
            await place.other.hold("renew").__aenter__()
        await held.extend()


async def test_state_is_free_after_the_context_and_can_be_acquired_again(place: Place) -> None:
    for _ in range(2):
        async with place.ownership.hold("run"):
            assert not await is_free(place)
        assert await is_free(place)


async def test_state_is_free_after_an_error(place: Place) -> None:
    with pytest.raises(ValueError, match="of the holder"):
        async with place.ownership.hold("run"):
            raise ValueError("of the holder")
    assert await is_free(place)


async def test_state_is_free_after_a_cancellation(place: Place) -> None:
    holds = asyncio.Event()

    async def work() -> None:
        async with place.ownership.hold("run"):
            holds.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await holds.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await is_free(place)


async def test_held_state_can_be_extended_any_number_of_times(place: Place) -> None:
    async with place.ownership.hold("run") as held:
        for until in (None, datetime.now(UTC) + timedelta(hours=1), None):
            await held.extend(until)
        assert not held.lost.is_set()
        assert not await is_free(place)


async def test_extend_detects_the_loss_which_is_final(place: Place) -> None:
    async with place.ownership.hold("run") as held:
        place.take_away()
        for _ in range(2):
            with pytest.raises(JournalError, match=r"no longer owns .*: .+"):
                await held.extend()
            assert held.lost.is_set()


async def test_loss_wakes_all_waiters(place: Place) -> None:
    async with place.ownership.hold("run") as held:
        waiting = asyncio.create_task(_wait(held))
        place.take_away()
        with pytest.raises(JournalError):
            await held.extend()
        assert await waiting == "woken"


async def _wait(held: Held) -> str:
    await held.lost.wait()
    return "woken"
