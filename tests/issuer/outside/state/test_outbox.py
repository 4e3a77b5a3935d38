"""Messages of targets that are no longer in the settings."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.contracts.test_outbox import FAILED
from tests.issuer.outside.states import NOW
from wellkeeper_issuer.messages import Backlog
from wellkeeper_issuer.outside.state.state import open_state


async def test_target_that_was_removed_is_forgotten_with_its_trouble(tmp_path: Path) -> None:
    """If its name is used again, it has no old failure."""
    later = NOW + timedelta(days=5)
    async with open_state(tmp_path / "state.db", may_write=True) as state:
        await state.outbox.put(FAILED, ["removed"], 10)
        await state.outbox.record_trouble("removed", "it is away", NOW)
        await state.outbox.put(replace(FAILED, id="2", at=later), ["chat"], 10)
        assert await state.outbox.read_backlogs() == {"chat": Backlog(1, oldest_at=later)}
