"""Contract of the Protocols in `ports.state`, for the tables and the fakes."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from tests.issuer.outside.states import ACCOUNT, ATTEMPT, CA, FAILURE, NOW, ORDER, SCHEDULE
from wellkeeper_issuer.ports.state import StateRecords
from wellkeeper_issuer.records import Blocked, LineageRecord, Notice, Origin, Rehearsal, Scope, Spent, Use
from wellkeeper_node.model import Flip

HOUR: Final = timedelta(hours=1)
USE: Final = Use(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW)
REHEARSAL: Final = Rehearsal("web", NOW, is_well=False, detail="nginx -t says no")

Read = Callable[[StateRecords, str], Awaitable[object]]
Write = Callable[[StateRecords, str], Awaitable[None]]
Names = Callable[[StateRecords, Collection[str] | None], Awaitable[Iterable[str]]]


async def flip(state: StateRecords, lineage: str, before: str | None = None, after: str = "v1") -> None:
    """Record an installed attempt."""
    await state.attempts.record_attempt(replace(ATTEMPT, lineage=lineage))
    await state.deliveries.record_flip(Flip(lineage, before, after))


async def reload(state: StateRecords, lineage: str) -> None:
    """Record an installed attempt that nginx has read."""
    await flip(state, lineage)
    await state.deliveries.record_reloaded([lineage])


# Records of one lineage: how to write, read and forget them.
ROWS: Final[dict[str, tuple[Write, Read, Write]]] = {
    "attempts": (
        lambda state, name: state.attempts.record_attempt(replace(ATTEMPT, lineage=name)),
        lambda state, name: state.attempts.read_attempt(name),
        lambda state, name: state.attempts.forget_attempt(name),
    ),
    "vetoes": (
        lambda state, name: state.vetoes.record_vetoes(name, {"n1": NOW}),
        lambda state, name: state.vetoes.read_vetoes(name),
        lambda state, name: state.vetoes.forget_vetoes(name),
    ),
    "failures": (
        lambda state, name: state.schedules.record_failure(replace(FAILURE, lineage=name)),
        lambda state, name: state.schedules.read_failure(name),
        lambda state, name: state.schedules.forget_failure(name),
    ),
    "notices": (
        lambda state, name: state.notes.record_notice(name, Notice.DANGER),
        lambda state, name: state.notes.read_notices([name]),
        lambda state, name: state.notes.forget_notices(name),
    ),
    "owed hooks": (
        flip,
        lambda state, name: state.notes.read_owed_hooks([name]),
        lambda state, name: state.notes.forget_owed_hook(name),
    ),
}


@pytest.mark.parametrize(("write", "read", "forget"), ROWS.values(), ids=ROWS)
async def test_row_can_be_read_until_it_is_forgotten(
    state: StateRecords, write: Write, read: Read, forget: Write
) -> None:
    assert not await read(state, "web")
    for name in ("web", "mail"):
        await write(state, name)
    for _ in range(2):
        await forget(state, "web")
    assert not await read(state, "web")
    assert await read(state, "mail")


# Records that can be read for all lineages or for some.
SEVERAL: Final[dict[str, tuple[Write, Names]]] = {
    "deliveries": (flip, lambda state, among: state.deliveries.installed(among)),
    "undelivered": (flip, lambda state, among: state.deliveries.undelivered(among)),
    "unserved": (reload, lambda state, among: state.deliveries.unserved(among)),
    "schedules": (
        lambda state, name: state.schedules.record_schedule(replace(SCHEDULE, lineage=name)),
        lambda state, among: state.schedules.read_schedules(among),
    ),
    "notices": (
        lambda state, name: state.notes.record_notice(name, Notice.FAILURE),
        lambda state, among: state.notes.read_notices(among),
    ),
    "owed hooks": (flip, lambda state, among: state.notes.read_owed_hooks(among)),
}


@pytest.mark.parametrize(("write", "names"), SEVERAL.values(), ids=SEVERAL)
async def test_only_requested_lineages_are_returned(state: StateRecords, write: Write, names: Names) -> None:
    for name in ("web", "mail"):
        await write(state, name)
    many = ["web", *(f"unknown-{number}" for number in range(600))]
    found = [set(await names(state, among)) for among in (None, ["web", "unknown"], many, [])]
    assert found == [{"web", "mail"}, {"web"}, {"web"}, set()]


async def test_attempt_is_completed_step_by_step(state: StateRecords) -> None:
    await state.attempts.record_attempt(ATTEMPT)
    assert await state.attempts.read_attempt("web") == ATTEMPT
    await state.attempts.record_order("web", ORDER)
    assert await state.attempts.under_way() == {"web": ATTEMPT.under_way}
    await state.attempts.record_chain("web", b"chain")
    assert await state.attempts.under_way() == {"web": replace(ATTEMPT.under_way, has_chain=True)}
    assert await state.attempts.read_attempt("web") == replace(ATTEMPT.with_order(ORDER), chain_pem=b"chain")


async def test_later_attempt_replaces_the_earlier_one_completely(state: StateRecords) -> None:
    await state.attempts.record_attempt(ATTEMPT.with_order(ORDER))
    later = replace(ATTEMPT, certificate_key_pem=b"")
    await state.attempts.record_attempt(later)
    assert await state.attempts.read_attempt("web") == later


@pytest.mark.parametrize("certificate_key_pem", [b"", b"key"], ids=["elsewhere", "here"])
async def test_under_way_shows_whether_the_key_is_recorded(state: StateRecords, certificate_key_pem: bytes) -> None:
    await state.attempts.record_attempt(replace(ATTEMPT, certificate_key_pem=certificate_key_pem))
    (found,) = (await state.attempts.under_way()).values()
    assert found.has_certificate_key == bool(certificate_key_pem)
    assert (found.directory_url, found.identifiers, found.has_chain) == (CA, ATTEMPT.identifiers, False)


async def test_order_and_chain_without_an_attempt_change_nothing(state: StateRecords) -> None:
    await state.attempts.record_order("web", ORDER)
    await state.attempts.record_chain("web", b"chain")
    assert await state.attempts.under_way() == {}


async def test_later_vetoes_replace_the_earlier_ones(state: StateRecords) -> None:
    for vetoes in ({"n1": NOW, "n2": NOW}, {"n2": NOW - HOUR, "n3": NOW}):
        await state.vetoes.record_vetoes("web", vetoes)
    assert await state.vetoes.read_vetoes("web") == {"n2": NOW - HOUR, "n3": NOW}


async def test_flip_turns_the_attempt_into_a_delivery_with_an_owed_hook(state: StateRecords) -> None:
    for name in ("web", "mail"):
        await state.vetoes.record_vetoes(name, {"n1": NOW})
    await flip(state, "web")
    assert await state.attempts.read_attempt("web") is None
    assert [await state.vetoes.read_vetoes(name) for name in ("web", "mail")] == [{}, {"n1": NOW}]
    assert await state.deliveries.undelivered() == {"web": Flip("web", None, "v1")}
    assert await state.deliveries.read_origin("web") == Origin(CA, ACCOUNT)
    assert await state.notes.read_owed_hooks() == {"web": "v1"}


async def test_delivery_goes_from_installed_to_reloaded_to_served(state: StateRecords) -> None:
    deliveries = state.deliveries
    await flip(state, "web")
    for _ in range(2):
        await deliveries.record_reloaded(["web"])
    assert await deliveries.undelivered() == {}
    assert await deliveries.unserved() == {"web"}
    for _ in range(2):
        await deliveries.record_served("web")
    assert await deliveries.unserved() == frozenset()
    assert await deliveries.installed() == {"web"}


async def test_next_flip_restarts_the_delivery(state: StateRecords) -> None:
    await flip(state, "web")
    await state.deliveries.record_served("web")
    await flip(state, "web", "v1", "v2")
    assert await state.deliveries.undelivered() == {"web": Flip("web", "v1", "v2")}
    assert await state.notes.read_owed_hooks() == {"web": "v2"}


async def test_found_version_is_undelivered_without_an_origin_or_an_owed_hook(state: StateRecords) -> None:
    await flip(state, "web")
    await state.notes.forget_owed_hook("web")
    await state.deliveries.record_found(Flip("web", "v2", "v2"))
    assert await state.deliveries.undelivered() == {"web": Flip("web", "v2", "v2")}
    assert await state.deliveries.read_origin("web") is None
    assert await state.notes.read_owed_hooks() == {}


async def test_recorded_version_that_is_found_keeps_its_ca(state: StateRecords) -> None:
    await flip(state, "web")
    await state.deliveries.record_served("web")
    await state.deliveries.record_found(Flip("web", "v1", "v1"))
    assert await state.deliveries.undelivered() == {"web": Flip("web", "v1", "v1")}
    assert await state.deliveries.read_origin("web") == Origin(ATTEMPT.directory_url, ATTEMPT.account_url)


async def test_reload_does_not_create_a_delivery(state: StateRecords) -> None:
    await state.deliveries.record_reloaded(["web"])
    await state.deliveries.record_served("web")
    assert await state.deliveries.installed() == frozenset()


async def test_later_schedule_replaces_the_earlier_one(state: StateRecords) -> None:
    later = replace(SCHEDULE, version="v2", window=None, ask_at=None, certificate_id=None, explanation_url=None)
    for schedule in (SCHEDULE, later):
        await state.schedules.record_schedule(schedule)
        assert await state.schedules.read_schedule("web") == schedule
    assert await state.schedules.read_schedules() == {"web": later}
    assert await state.schedules.read_schedule("mail") is None


async def test_later_failure_replaces_the_earlier_one(state: StateRecords) -> None:
    later = replace(FAILURE, count=4, problem=None)
    for failure in (FAILURE, later):
        await state.schedules.record_failure(failure)
    assert await state.schedules.read_failures() == {"web": later}


async def test_uses_since_a_time_are_read_in_order_without_exempt_ones(state: StateRecords) -> None:
    await state.ledger.record_uses([replace(USE, at=NOW - age * HOUR) for age in (0, 3, 1, 2)])
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
async def test_use_counts_only_for_its_ca_kind_scope_and_value(state: StateRecords, other: Use) -> None:
    await state.ledger.record_uses([USE, other, other])
    assert len(await state.ledger.read_uses(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW)) == 1


async def test_values_are_sorted_and_counted_with_exempt_uses_apart(state: StateRecords) -> None:
    domain = replace(USE, scope=Scope.REGISTERED_DOMAIN, value="example.org", is_exempt=True)
    await state.ledger.record_uses([domain, USE, USE, replace(USE, is_exempt=True), replace(USE, at=NOW - 2 * HOUR)])
    await state.ledger.record_uses([replace(USE, directory_url="https://other.example/")])
    assert await state.ledger.read_values(CA, NOW - HOUR) == [
        (Spent.ORDER, Scope.ACCOUNT, ACCOUNT, 2, 1),
        (Spent.ORDER, Scope.REGISTERED_DOMAIN, "example.org", 0, 1),
    ]


async def test_old_uses_are_forgotten(state: StateRecords) -> None:
    await state.ledger.record_uses([USE, replace(USE, at=NOW - HOUR)])
    await state.ledger.forget_uses(NOW)
    assert await state.ledger.read_uses(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW - 2 * HOUR) == [NOW]


async def test_block_is_replaced_for_the_same_ca_and_lineage(state: StateRecords) -> None:
    everything, web = Blocked(CA, "", NOW, "busy"), Blocked(CA, "web", NOW, "too many")
    later = replace(web, until=NOW + HOUR)
    for blocked in (web, everything, later):
        await state.ledger.record_block(blocked)
    assert await state.ledger.read_blocks() == [everything, later]


async def test_each_notice_is_kept_once(state: StateRecords) -> None:
    for notice in (Notice.FAILURE, Notice.DANGER, Notice.FAILURE):
        await state.notes.record_notice("web", notice)
    assert await state.notes.read_notices() == {"web": {Notice.FAILURE, Notice.DANGER}}


async def test_last_rehearsal_is_kept(state: StateRecords) -> None:
    for rehearsal in (replace(REHEARSAL, is_well=True, detail=""), REHEARSAL):
        await state.notes.record_rehearsal(rehearsal)
    assert await state.notes.read_rehearsals() == {"web": REHEARSAL}


async def test_nothing_is_recorded_about_an_unknown_lineage(state: StateRecords) -> None:
    await flip(state, "other")
    assert await state.read_lineage("web") == LineageRecord()


async def test_lineage_record_combines_all_tables(state: StateRecords) -> None:
    await state.deliveries.record_found(Flip("found", "v0", "v0"))
    await reload(state, "web")
    await state.attempts.record_attempt(ATTEMPT)
    await state.notes.record_notice("web", Notice.DANGER)
    origin = Origin(ATTEMPT.directory_url, ATTEMPT.account_url)
    assert await state.read_lineage("web") == LineageRecord(
        ATTEMPT,
        origin,
        Flip("web", None, "v1"),
        is_installed=True,
        is_unserved=True,
        owed_hook="v1",
        notices=frozenset({Notice.DANGER}),
    )
    undelivered = Flip("found", "v0", "v0")
    assert await state.read_lineage("found") == LineageRecord(
        flip=undelivered, undelivered=undelivered, is_installed=True
    )
