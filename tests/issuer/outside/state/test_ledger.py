"""What was asked of CAs, counted as their limits count it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.issuer.outside.states import ACCOUNT, CA, NOW, execute
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Blocked, Scope, Spent, Use

HOUR = timedelta(hours=1)
USE = Use(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW)


async def test_uses_are_read_in_order_from_a_time_on_without_the_exempt(state: State) -> None:
    ages = (0, 3, 1, 2)
    await state.ledger.record_uses([replace(USE, at=NOW - age * HOUR) for age in ages])
    await state.ledger.record_uses([replace(USE, is_exempt=True)])
    found = await state.ledger.read_uses(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW - 2 * HOUR)
    assert found == [NOW - 2 * HOUR, NOW - HOUR, NOW]


@pytest.mark.parametrize(
    "other",
    [
        replace(USE, directory_url="https://other.example/"),
        replace(USE, spent=Spent.CERTIFICATE),
        replace(USE, scope=Scope.EXACT_SET),
        replace(USE, value="another"),
    ],
    ids=["CA", "spent", "scope", "value"],
)
async def test_use_counts_for_its_own_only(state: State, other: Use) -> None:
    await state.ledger.record_uses([USE, other, other])
    assert len(await state.ledger.read_uses(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW)) == 1


async def test_uses_of_one_call_are_all_recorded_or_none(state: State) -> None:
    broken = replace(USE, value=None)  # type: ignore[arg-type]
    with pytest.raises(JournalError):
        await state.ledger.record_uses([USE, broken])
    assert await state.ledger.read_values(CA, NOW - HOUR) == []


async def test_values_are_summed_up_with_the_exempt_apart(state: State) -> None:
    domain = replace(USE, scope=Scope.REGISTERED_DOMAIN, value="example.org", is_exempt=True)
    await state.ledger.record_uses([USE, USE, replace(USE, is_exempt=True), domain, replace(USE, at=NOW - 2 * HOUR)])
    await state.ledger.record_uses([replace(USE, directory_url="https://other.example/")])
    assert await state.ledger.read_values(CA, NOW - HOUR) == [
        (Spent.ORDER, Scope.ACCOUNT, ACCOUNT, 2, 1),
        (Spent.ORDER, Scope.REGISTERED_DOMAIN, "example.org", 0, 1),
    ]


async def test_old_uses_are_forgotten(state: State) -> None:
    await state.ledger.record_uses([USE, replace(USE, at=NOW - HOUR)])
    await state.ledger.forget_uses(NOW)
    assert await state.ledger.read_uses(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW - 2 * HOUR) == [NOW]


async def test_uses_are_found_by_an_index_not_by_looking_at_all(folder: Path, state: State) -> None:
    await state.ledger.record_uses([USE])
    ((*_, plan),) = execute(
        folder / "state.db",
        "EXPLAIN QUERY PLAN SELECT at FROM uses WHERE directory_url = '' AND value = '' AND spent = '' AND scope = ''"
        " AND at >= 0 AND NOT is_exempt ORDER BY at",
    )
    assert plan.startswith("SEARCH uses USING INDEX uses_by_value (directory_url=? AND value=? AND spent=? AND scope=?")


async def test_block_is_replaced_for_the_same_ca_and_lineage(state: State) -> None:
    everything, web = Blocked(CA, "", NOW, "busy"), Blocked(CA, "web", NOW, "too many")
    later = replace(web, until=NOW + HOUR)
    for blocked in (web, everything, later):
        await state.ledger.record_block(blocked)
    assert await state.ledger.read_blocks() == [everything, later]
