"""The ledger of requests to CAs, counted as their limits count them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.issuer.outside.states import ACCOUNT, CA, NOW, execute
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Scope, Spent, Use

HOUR = timedelta(hours=1)
USE = Use(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW)


async def test_uses_of_one_call_are_all_recorded_or_none(state: State) -> None:
    broken = replace(USE, value=None)  # type: ignore[arg-type]
    with pytest.raises(JournalError):
        await state.ledger.record_uses([USE, broken])
    assert await state.ledger.read_values(CA, NOW - HOUR) == []


async def test_uses_are_found_by_an_index(folder: Path, state: State) -> None:
    await state.ledger.record_uses([USE])
    ((*_, plan),) = execute(
        folder / "state.db",
        "EXPLAIN QUERY PLAN SELECT at FROM uses WHERE directory_url = '' AND value = '' AND spent = '' AND scope = ''"
        " AND at >= 0 AND NOT is_exempt ORDER BY at",
    )
    assert plan.startswith("SEARCH uses USING INDEX uses_by_value (directory_url=? AND value=? AND spent=? AND scope=?")
