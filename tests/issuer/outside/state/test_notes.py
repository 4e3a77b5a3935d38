"""Owed hooks, notices and rehearsals, which persist until they are settled."""

from pathlib import Path

from tests.issuer.outside.states import ATTEMPT
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.records import Notice
from wellkeeper_node.model import Flip


async def test_hook_is_owed_from_installation_until_it_succeeds(folder: Path) -> None:
    async with open_state(folder / "state.db", may_write=True) as state:
        for version in ("v1", "v2"):
            await state.attempts.record_attempt(ATTEMPT)
            await state.deliveries.record_flip(Flip("web", None, version))
    async with open_state(folder / "state.db", may_write=True) as state:
        assert await state.notes.read_owed_hooks() == {"web": "v2"}
        for _ in range(2):
            await state.notes.forget_owed_hook("web")
        assert await state.notes.read_owed_hooks() == {}


async def test_each_notice_is_kept_once_until_forgotten(folder: Path) -> None:
    async with open_state(folder / "state.db", may_write=True) as state:
        for notice in (Notice.FAILURE, Notice.DANGER, Notice.FAILURE):
            await state.notes.record_notice("web", notice)
        await state.notes.record_notice("mail", Notice.RECOVERY)
    async with open_state(folder / "state.db", may_write=True) as state:
        assert await state.notes.read_notices() == {
            "web": {Notice.FAILURE, Notice.DANGER},
            "mail": {Notice.RECOVERY},
        }
        for _ in range(2):
            await state.notes.forget_notices("web")
        assert await state.notes.read_notices() == {"mail": {Notice.RECOVERY}}
