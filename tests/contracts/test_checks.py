"""The Protocol of checks, in `ports.state`: table and fake behave the same."""

from dataclasses import replace
from datetime import timedelta

from tests.contracts.test_state import flip, reload
from tests.issuer.outside.states import NOW
from wellkeeper_issuer.ports.state import StateRecords
from wellkeeper_issuer.records import Check, Seen
from wellkeeper_node.model import Flip

CHECK = Check("web", "v2", Seen.WRONG, NOW, NOW - timedelta(days=60), NOW + timedelta(days=30), "v1", "v2")


async def test_nothing_is_checked_at_first(state: StateRecords) -> None:
    assert await state.deliveries.checks() == {}
    assert (await state.read_lineage("web")).check is None


async def test_last_check_is_kept(state: StateRecords) -> None:
    plain = Check("mail", "v1", Seen.SERVED, NOW)
    for check in (replace(CHECK, seen=Seen.HIDDEN), CHECK, plain):
        await state.deliveries.record_check(check)
    assert await state.deliveries.checks() == {"web": CHECK, "mail": plain}
    assert await state.deliveries.checks(["web", "other"]) == {"web": CHECK}
    assert (await state.read_lineage("web")).check == CHECK


async def test_last_flip_is_known_after_its_delivery(state: StateRecords) -> None:
    assert (await state.read_lineage("web")).flip is None
    await flip(state, "web", "v1", "v2")
    await state.deliveries.record_reloaded(["web"])
    assert (await state.read_lineage("web")).flip == Flip("web", "v1", "v2")


async def test_version_that_was_left_is_undelivered_again(state: StateRecords) -> None:
    await state.deliveries.record_returned(Flip("web", "v1", "v2"))
    assert await state.deliveries.undelivered() == {}
    await reload(state, "web")
    await state.deliveries.record_returned(Flip("web", "v1", "v2"))
    assert await state.deliveries.undelivered() == {"web": Flip("web", "v1", "v2")}
