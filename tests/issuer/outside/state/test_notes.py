"""Owed hooks, notices and rehearsals survive until they are settled."""

from dataclasses import replace
from pathlib import Path

from tests.issuer.outside.states import ATTEMPT, NOW
from wellkeeper_issuer.model import Flip
from wellkeeper_issuer.outside.state.state import State, open_state
from wellkeeper_issuer.records import Notice, Rehearsal


async def test_hook_is_owed_from_the_installation_on_until_it_succeeded(folder: Path) -> None:
    async with open_state(folder / "state.db", is_exclusive=True) as state:
        for version in ("v1", "v2"):
            await state.attempts.record_attempt(ATTEMPT)
            await state.deliveries.record_flip(Flip("web", None, version))
    async with open_state(folder / "state.db", is_exclusive=True) as state:
        assert await state.notes.read_owed_hooks() == {"web": "v2"}
        for _ in range(2):
            await state.notes.forget_owed_hook("web")
        assert await state.notes.read_owed_hooks() == {}


async def test_no_hook_is_owed_for_what_was_found_installed(state: State) -> None:
    await state.deliveries.record_found(Flip("web", "v1", "v1"))
    assert await state.notes.read_owed_hooks() == {}


async def test_notices_are_kept_once_each_until_they_are_forgotten(folder: Path) -> None:
    async with open_state(folder / "state.db", is_exclusive=True) as state:
        for notice in (Notice.FAILURE, Notice.DANGER, Notice.FAILURE):
            await state.notes.record_notice("web", notice)
        await state.notes.record_notice("mail", Notice.RECOVERY)
    async with open_state(folder / "state.db", is_exclusive=True) as state:
        assert await state.notes.read_notices() == {
            "web": {Notice.FAILURE, Notice.DANGER},
            "mail": {Notice.RECOVERY},
        }
        for _ in range(2):
            await state.notes.forget_notices("web")
        assert await state.notes.read_notices() == {"mail": {Notice.RECOVERY}}


async def test_last_rehearsal_is_kept(state: State) -> None:
    failed = Rehearsal("web", NOW, is_well=False, detail="nginx -t says no")
    for rehearsal in (replace(failed, is_well=True, detail=""), failed):
        await state.notes.record_rehearsal(rehearsal)
    assert await state.notes.read_rehearsals() == {"web": failed}
