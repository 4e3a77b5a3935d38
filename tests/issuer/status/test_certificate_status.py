"""Certificate status from rows and links, and what is left to a pass."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from tests.fakes_deliver import NOW, dns
from wellkeeper_issuer.model import Attempt, Lineage, UnderWay
from wellkeeper_issuer.outside.state.state import State as OpenedState
from wellkeeper_issuer.records import Blocked, Check, Failure, Rule, Schedule, Seen, Window
from wellkeeper_issuer.status.certificate_status import CertificateStatus, Rows, State, read_rows, status, statuses
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import Flip

CA, SECOND_CA = "https://ca.example/directory", "https://second.example/directory"
LINEAGE: Final = Lineage("web", (dns("a.example"), dns("b.example")), directory_urls=(CA, SECOND_CA))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SCHEDULE: Final = Schedule(
    lineage="web",
    version="v1",
    identifiers=frozenset(LINEAGE.identifiers),
    not_before=NOW - DAY,
    not_after=NOW + 89 * DAY,
    directory_url=CA,
    account_url="",
    certificate_id="a.b",
    rule=Rule.ARI,
    renew_at=NOW + 59 * DAY,
    ask_at=NOW + 6 * HOUR,
    window=Window(NOW + 58 * DAY, NOW + 60 * DAY),
)
CHECK: Final = Check("web", "v1", Seen.SERVED, NOW, served_version="v1")
FLIP: Final = Flip("web", None, "v1")
ORDERED: Final = UnderWay(CA, LINEAGE.identifiers, has_certificate_key=True, has_chain=False)
CHECK_NOW: Final = "time to verify that nginx serves it"
CHAIN: Final = replace(ORDERED, has_chain=True)


def rows(schedule: Schedule | None = SCHEDULE, **others: Any) -> Rows:  # noqa: ANN401 - whatever Rows has
    schedules = {"web": schedule} if schedule else {}
    known = {"schedules": schedules, "installed": frozenset({"web"}), "checks": {"web": CHECK}}
    return Rows(**{**known, **others})


def failure(next_try_at: datetime, last_at: datetime = NOW - HOUR) -> dict[str, Failure]:
    return {"web": Failure("web", 2, "order", "no", Retry.SOON, last_at, last_at, next_try_at)}


def status_of(
    known: Rows, version: str | None = "v1", now: datetime = NOW, lineage: Lineage = LINEAGE
) -> CertificateStatus:
    return status(lineage, version, known, now)


def test_served_certificate_is_idle_until_its_ca_is_asked_again() -> None:
    found = status_of(rows())
    assert found == CertificateStatus("web", State.SERVED, "v1", SCHEDULE, None, "", None, NOW + 6 * HOUR)
    assert found.is_quiet
    assert not found.is_waiting
    assert (found.not_after, found.renew_at, found.rule) == (SCHEDULE.not_after, SCHEDULE.renew_at, Rule.ARI)


def test_certificate_without_a_schedule_has_no_dates() -> None:
    found = status_of(rows(None))
    assert (found.not_after, found.renew_at, found.rule) == (None, None, None)


@pytest.mark.parametrize(
    ("known", "version", "state", "to_do"),
    [
        (Rows(), None, State.MISSING, "no certificate yet"),
        (Rows(), "v1", State.UNKNOWN, "not checked yet"),
        (rows(None), "v1", State.SERVED, "not checked yet"),
        (rows(), "v2", State.UNPROVEN, "not checked yet"),
        (rows(checks={}), "v1", State.UNPROVEN, CHECK_NOW),
        (rows(checks={"web": replace(CHECK, seen=Seen.HIDDEN)}), "v1", State.HIDDEN, ""),
        (rows(checks={"web": replace(CHECK, seen=Seen.WRONG)}), "v1", State.NOT_SERVED, CHECK_NOW),
        (rows(checks={"web": replace(CHECK, seen=Seen.UNUSED)}), "v1", State.NOT_SERVED, ""),
        (rows(checks={"web": replace(CHECK, at=NOW - 12 * HOUR)}), "v1", State.SERVED, CHECK_NOW),
        (rows(checks={"web": replace(CHECK, at=NOW - 25 * HOUR)}), "v1", State.UNPROVEN, CHECK_NOW),
        (rows(checks={"web": replace(CHECK, at=NOW + HOUR)}), "v1", State.SERVED, CHECK_NOW),
        (rows(installed=frozenset()), "v1", State.UNPROVEN, "not checked yet"),
        (rows(), None, State.MISSING, "no certificate yet"),
        (rows(undelivered={"web": FLIP}), "v1", State.NOT_RELOADED, "not yet verified that nginx loaded it"),
        (
            rows(undelivered={"web": Flip("web", "v1", "v2")}),
            "v1",
            State.REFUSED,
            "not yet verified that nginx loaded it",
        ),
        (rows(unserved=frozenset({"web"})), "v1", State.NOT_SERVED, "not yet verified that nginx serves it"),
        (rows(owed_hooks={"web": "v1"}), "v1", State.SERVED, "its deploy hook has not succeeded yet"),
        (rows(under_way={"web": CHAIN}), "v1", State.SERVED, "the CA issued a certificate that is not installed yet"),
        (rows(under_way={"web": ORDERED}), "v1", State.SERVED, ""),
        (rows(under_way={"web": replace(CHAIN, directory_url="https://third.example/")}), "v1", State.SERVED, ""),
        (rows(under_way={"web": replace(CHAIN, identifiers=(dns("a.example"),))}), "v1", State.SERVED, ""),
        (rows(under_way={"web": replace(CHAIN, has_certificate_key=False)}), "v1", State.SERVED, ""),
        (rows(under_way={"web": replace(CHAIN, identifiers=())}), None, State.MISSING, "no certificate yet"),
        (
            rows(replace(SCHEDULE, identifiers=frozenset({dns("a.example")}))),
            "v1",
            State.SERVED,
            "the identifiers in the settings changed",
        ),
        (
            rows(replace(SCHEDULE, directory_url="https://third.example/directory")),
            "v1",
            State.SERVED,
            "the installed certificate was issued by a CA that is no longer configured",
        ),
        (rows(replace(SCHEDULE, ask_at=NOW)), "v1", State.SERVED, "time to ask its CA for renewal info"),
        (rows(replace(SCHEDULE, not_after=NOW)), "v1", State.EXPIRED, ""),
    ],
)
def test_state_and_next_action_follow_from_the_records(
    known: Rows, version: str | None, state: State, to_do: str
) -> None:
    found = status_of(known, version)
    assert (found.state, found.to_do, found.is_quiet) == (state, to_do, not to_do)


@pytest.mark.parametrize("state", State)
def test_states_are_words_for_programs_and_sentences_for_users(state: State) -> None:
    assert state.value == state.name.lower()
    assert " run " not in state.words


def test_due_certificate_shows_the_rule() -> None:
    found = status_of(rows(), now=SCHEDULE.renew_at)
    assert found.to_do == "the CA's suggested window began at 2026-04-28 12:00 UTC and ends at 2026-04-30 12:00 UTC"
    assert found.wake_at == SCHEDULE.renew_at
    assert not found.is_quiet


def test_certificate_can_be_due_again_while_undelivered() -> None:
    found = status_of(rows(undelivered={"web": FLIP}), now=SCHEDULE.renew_at)
    assert found.state is State.NOT_RELOADED
    assert not found.is_quiet


@pytest.mark.parametrize(
    ("schedule", "wake_at"),
    [
        (SCHEDULE, NOW + 6 * HOUR),
        (replace(SCHEDULE, ask_at=None), NOW + 12 * HOUR),
        (replace(SCHEDULE, ask_at=NOW + 20 * HOUR), NOW + 12 * HOUR),
        (replace(SCHEDULE, renew_at=NOW + HOUR), NOW + HOUR),
        (replace(SCHEDULE, not_before=NOW - HOUR, not_after=NOW + 9 * HOUR, ask_at=None), NOW + HOUR),
    ],
    ids=["asked", "no ARI", "twice a day", "due", "a tenth of a short lifetime"],
)
def test_next_wake_time_of_an_idle_certificate(schedule: Schedule, wake_at: datetime) -> None:
    assert status_of(rows(schedule)).wake_at == wake_at


def test_pending_work_wakes_at_once() -> None:
    assert status_of(Rows(), None).wake_at == NOW
    assert status_of(rows(None)).wake_at == NOW
    assert status_of(rows(unserved=frozenset({"web"}))).wake_at == NOW


def test_failed_certificate_waits_until_its_next_try() -> None:
    found = status_of(rows(failures=failure(NOW + HOUR), owed_hooks={"web": "v1"}))
    assert found.is_quiet
    assert found.is_waiting
    assert (found.next_try_at, found.wake_at) == (NOW + HOUR, NOW + HOUR)
    assert found.failure is not None


@pytest.mark.parametrize(
    "failures",
    [failure(NOW), failure(NOW + HOUR, last_at=NOW + HOUR / 2)],
    ids=["over", "written by a clock that was ahead"],
)
def test_past_failure_does_not_delay(failures: dict[str, Failure]) -> None:
    found = status_of(rows(failures=failures), None)
    assert (found.is_quiet, found.next_try_at, found.wake_at) == (False, None, NOW)


def test_failure_of_other_identifiers_keeps_none_waiting_and_is_not_shown() -> None:
    """The settings changed since."""
    other = replace(failure(NOW + HOUR)["web"], identifiers=frozenset({dns("a.example")}))
    due = replace(SCHEDULE, identifiers=frozenset({dns("a.example")}))
    found = status_of(rows(due, failures={"web": other}))
    assert (found.failure, found.next_try_at, found.is_failing) == (None, None, False)
    same = replace(other, identifiers=frozenset(LINEAGE.identifiers))
    assert status_of(rows(due, failures={"web": same})).next_try_at == NOW + HOUR


def test_failure_whose_wait_is_over_needs_a_pass() -> None:
    waiting = status_of(rows(failures=failure(NOW + HOUR)))
    assert (waiting.to_do, waiting.is_waiting, waiting.wake_at) == ("", False, NOW + HOUR)
    over = status_of(rows(failures=failure(NOW)))
    assert (over.to_do, over.is_quiet) == ("the last attempt failed, checking again", False)
    assert (over.next_try_at, over.wake_at) == (None, NOW)


def block(directory_url: str, until: datetime, lineage: str = "") -> dict[tuple[str, str], Blocked]:
    return {(directory_url, lineage): Blocked(directory_url, lineage, until, "busy")}


@pytest.mark.parametrize(
    ("blocks", "next_try_at"),
    [
        ({}, None),
        (block(CA, NOW + HOUR), None),
        (block(CA, NOW + HOUR) | block(SECOND_CA, NOW + 2 * HOUR), NOW + HOUR),
        (
            block(CA, NOW + HOUR) | block(CA, NOW + 3 * HOUR, "web") | block(SECOND_CA, NOW + 2 * HOUR, "web"),
            NOW + 2 * HOUR,
        ),
        (block(CA, NOW + HOUR) | block(SECOND_CA, NOW - HOUR), None),
        (block(CA, NOW + HOUR, "mail") | block(SECOND_CA, NOW + HOUR), None),
        (block(CA, NOW + HOUR) | block(SECOND_CA, NOW + 400 * DAY), None),
    ],
    ids=["none", "another CA is free", "all", "both kinds", "over", "of another", "implausible"],
)
def test_due_certificate_waits_while_every_ca_of_its_list_is_blocked(
    blocks: dict[tuple[str, str], Blocked], next_try_at: datetime | None
) -> None:
    known = rows(replace(SCHEDULE, renew_at=NOW), blocks=blocks)
    assert status_of(known).next_try_at == next_try_at
    assert status_of(replace(known, undelivered={"web": FLIP})).next_try_at is None
    assert status_of(rows(blocks=blocks)).next_try_at is None


def test_lineage_without_cas_is_never_blocked() -> None:
    lineage = replace(LINEAGE, directory_urls=())
    assert status_of(rows(blocks=block(CA, NOW + HOUR)), None, lineage=lineage).next_try_at is None


async def test_rows_are_read_from_the_state(state: OpenedState) -> None:
    await state.schedules.record_schedule(SCHEDULE)
    await state.schedules.record_failure(failure(NOW + HOUR)["web"])
    await state.ledger.record_block(Blocked(CA, "", NOW + HOUR, "busy"))
    attempt = Attempt("web", CA, LINEAGE.identifiers, b"key", b"csr")
    await state.attempts.record_attempt(attempt)
    await state.deliveries.record_flip(FLIP)
    await state.attempts.record_attempt(attempt)
    await state.deliveries.record_found(Flip("mail", None, "v7"))
    await state.deliveries.record_reloaded(["mail"])
    assert await read_rows(state) == Rows(
        schedules={"web": SCHEDULE},
        failures=failure(NOW + HOUR),
        blocks=block(CA, NOW + HOUR),
        owed_hooks={"web": "v1"},
        under_way={"web": attempt.under_way},
        undelivered={"web": FLIP},
        unserved=frozenset({"mail"}),
        installed=frozenset({"web", "mail"}),
    )


def test_all_statuses_are_returned_in_order() -> None:
    others = [replace(LINEAGE, name="mail"), LINEAGE]
    assert [(one.lineage, one.state) for one in statuses(others, {"web": "v1"}, rows(), NOW)] == [
        ("mail", State.MISSING),
        ("web", State.SERVED),
    ]


def test_placeholder_is_due_unless_a_delivery_is_pending() -> None:
    for known in (Rows(), Rows(failures=failure(NOW))):
        found = status_of(known).of_placeholder()
        assert (found.state, found.to_do) == (State.PLACEHOLDER, "only a self-signed placeholder is installed")
    begun = status_of(Rows(under_way={"web": CHAIN}))
    assert begun.of_placeholder() == replace(begun, state=State.PLACEHOLDER)


def test_placeholder_waits_for_a_blocked_ca_like_a_due_certificate() -> None:
    found = status_of(
        replace(rows(blocks=block(CA, NOW + HOUR, "web") | block(SECOND_CA, NOW + 2 * HOUR)), schedules={})
    )
    assert found.is_waiting
    assert (found.next_try_at, found.wake_at) == (NOW + HOUR, NOW + HOUR)
