"""Notices to the administrator: once each, not per retry, and repeated until sent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from wellkeeper_issuer.records import Check, Failure, LineageRecord, Notice, Rule, Schedule, Seen
from wellkeeper_issuer.upkeep.notices import owed
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import Identifier, IdentifierType

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FAILURE = Failure("www", 1, "order", "no answer", Retry.SOON, NOW, NOW, NOW + DAY)


def schedule(renew_in_days: float, expires_in_days: float) -> Schedule:
    return Schedule(
        lineage="www",
        version="1",
        identifiers=frozenset({Identifier(IdentifierType.DNS, "www.example.org")}),
        not_before=NOW - 60 * DAY,
        not_after=NOW + expires_in_days * DAY,
        directory_url="https://ca.example/directory",
        account_url="https://ca.example/account/1",
        certificate_id=None,
        rule=Rule.LIFETIME,
        renew_at=NOW + renew_in_days * DAY,
    )


HEALTHY = schedule(10, 40)
DUE = schedule(-5, 25)
ENDANGERED = schedule(-21, 9)
REVOKED = replace(schedule(-1, 9), rule=Rule.REVOKED)
ALL_SENT = frozenset({Notice.FAILURE, Notice.DANGER})


@pytest.mark.parametrize(
    ("failure", "dates", "reported", "expected"),
    [
        pytest.param(None, HEALTHY, set(), None, id="healthy"),
        pytest.param(None, DUE, set(), None, id="due and not failing"),
        pytest.param(FAILURE, DUE, set(), Notice.FAILURE, id="first failure"),
        pytest.param(FAILURE, None, set(), Notice.FAILURE, id="first failure without a certificate"),
        pytest.param(FAILURE, DUE, {Notice.FAILURE}, None, id="next failure of the series"),
        pytest.param(FAILURE, ENDANGERED, {Notice.FAILURE}, Notice.DANGER, id="less than a third is left"),
        pytest.param(FAILURE, ENDANGERED, set(), Notice.DANGER, id="danger with its failure"),
        pytest.param(None, ENDANGERED, set(), Notice.DANGER, id="danger without a failure of its own: the CA is away"),
        pytest.param(FAILURE, ENDANGERED, ALL_SENT, None, id="danger already sent"),
        pytest.param(FAILURE, HEALTHY, {Notice.DANGER}, None, id="out of danger and still failing"),
        pytest.param(None, HEALTHY, {Notice.FAILURE}, Notice.RECOVERY, id="healthy after failure"),
        pytest.param(None, HEALTHY, ALL_SENT, Notice.RECOVERY, id="healthy after danger"),
        pytest.param(None, None, {Notice.FAILURE}, Notice.RECOVERY, id="healthy without a schedule"),
        pytest.param(None, REVOKED, {Notice.DANGER}, None, id="revoked while in danger"),
        pytest.param(None, DUE, {Notice.FAILURE}, None, id="still due"),
        pytest.param(None, REVOKED, set(), None, id="revoked and not failing"),
    ],
)
def test_notice_that_is_owed(
    failure: Failure | None, dates: Schedule | None, reported: set[Notice], expected: Notice | None
) -> None:
    assert owed(LineageRecord(failure=failure, schedule=dates, notices=frozenset(reported)), NOW) is expected


@pytest.mark.parametrize(("renew_in", "expires_in", "is_danger"), [(-19.9, 10, False), (-20, 10, True), (5, 3, False)])
def test_danger_starts_with_the_last_third(renew_in: float, expires_in: float, *, is_danger: bool) -> None:
    assert (owed(LineageRecord(schedule=schedule(renew_in, expires_in)), NOW) is Notice.DANGER) is is_danger


def test_certificate_that_expired_before_its_renewal_was_planned_is_in_danger() -> None:
    assert owed(LineageRecord(schedule=schedule(5, -1)), NOW) is Notice.DANGER


def test_unsent_notice_is_owed_until_sent_and_ended_by_recovery() -> None:
    failing = LineageRecord(failure=FAILURE, schedule=DUE)
    assert [owed(failing, NOW + n * DAY) for n in range(3)] == [Notice.FAILURE] * 3
    reported = frozenset({Notice.FAILURE})
    assert owed(replace(failing, notices=reported), NOW + 3 * DAY) is None
    assert owed(LineageRecord(schedule=HEALTHY, notices=reported), NOW + 4 * DAY) is Notice.RECOVERY


@pytest.mark.parametrize(("days_left", "expected"), [(11, None), (10, Notice.DANGER), (-1, Notice.DANGER)])
def test_danger_goes_by_the_certificate_that_clients_get(days_left: int, expected: Notice | None) -> None:
    """Danger begins with the last third of the third of its ninety days in which it is renewed."""
    expiry = NOW + days_left * DAY
    check = Check("www", "2", Seen.WRONG, NOW, leaf_not_before=expiry - 90 * DAY, leaf_not_after=expiry)
    record = LineageRecord(failure=FAILURE, schedule=HEALTHY, notices=frozenset({Notice.FAILURE}), check=check)
    assert owed(record, NOW) is expected
    assert owed(replace(record, check=replace(check, leaf_not_before=None, leaf_not_after=None)), NOW) is None
