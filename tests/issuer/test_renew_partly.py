"""Certificates of which a name is dead, near their expiry: the other names go on, and the failure stays."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes_deliver import NOW, dns
from tests.issuer.hosts import Host, outcomes
from tests.issuer.outside.states import SCHEDULE
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import ChallengeError, OrderError
from wellkeeper_issuer.model import Attempt, Lineage
from wellkeeper_issuer.obtain.due import due_reason
from wellkeeper_issuer.records import Event, Failure, LineageRecord
from wellkeeper_issuer.renew_partly import remaining
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_issuer.status.certificate_status import read_rows, status
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.model import ERROR_PREFIX, Identifier, KeyType, Problem

A, B, DEAD = dns("a.example"), dns("b.example"), dns("dead.example")
FULL = Lineage("a", (A, DEAD), drops_failing_names=True)
REST = frozenset({A})
GONE = Problem(f"{ERROR_PREFIX}dns", "NXDOMAIN")
DAY, HOUR = 86_400.0, 3_600.0


@pytest.fixture
async def aged(host: Host) -> Host:
    """The full certificate was obtained; on day 60 a name is dead."""
    host.nginx.needed = {"a"}
    assert outcomes(await host.run([FULL])) == {"a": Outcome.SERVED}
    host.wait(60 * DAY)
    host.ca.refused["dead.example"] = GONE
    return host


async def run(host: Host, mode: Mode = Mode.RETRY, lineage: Lineage = FULL) -> Report:
    return (await host.run([lineage], mode=mode))["a"]


async def names(host: Host) -> frozenset[Identifier]:
    installed = await host.certificates.installed("a")
    assert installed is not None
    return installed.certificate.identifiers


async def drop(host: Host) -> Report:
    """It fails for three weeks, until less than a tenth is left."""
    for days in (0, 10, 11.5):
        host.wait(days * DAY)
        report = await run(host)
    return report


async def test_other_names_are_renewed_in_the_last_tenth_and_the_failure_stays(aged: Host) -> None:
    host = aged
    host.hooks.events = {Event.DEPLOY, Event.POST}
    assert "NXDOMAIN" in str((await run(host)).error)
    host.wait(20 * DAY)
    assert (await run(host)).outcome is Outcome.FAILED
    assert await names(host) == {A, DEAD}
    host.wait(2 * DAY)
    report = await run(host)
    assert report.outcome is Outcome.FAILED
    assert str(report.error).startswith(
        "the CA refuses dead.example, so the certificate was renewed without: dns: NXDOMAIN; it accepted 1 other name"
    )
    assert await names(host) == REST
    assert host.nginx.reloads[-1]["a"] == host.certificates.live["a"]
    assert [event for event, _ in host.hooks.ran][-2:] == [Event.DEPLOY, Event.POST]
    assert (host.hooks.ran[-1][1].renewed, host.hooks.ran[-1][1].failed) == ((A,), (DEAD,))
    rows = await read_rows(host.state)
    shown = status(FULL, host.certificates.live["a"], rows, host.clock.now())
    assert shown.is_failing
    assert shown.to_do == "the installed certificate lacks dead.example"


async def test_full_set_is_tried_every_day_and_taken_once_the_name_is_back(aged: Host) -> None:
    host = aged
    await drop(host)
    for _ in range(3):
        assert (await run(host, Mode.SCHEDULED)).outcome is Outcome.WAITING
        host.wait(DAY)
        orders = len(host.ca.orders)
        report = await run(host, Mode.SCHEDULED)
        assert report.outcome is Outcome.FAILED
        assert (len(host.ca.orders), await names(host)) == (orders + 1, REST)
        assert report.next_try_at is not None
        assert report.next_try_at - host.clock.now() <= timedelta(days=1)
    host.ca.refused.clear()
    host.wait(DAY)
    assert (await run(host, Mode.SCHEDULED)).outcome is Outcome.SERVED
    assert await names(host) == {A, DEAD}
    assert await host.state.schedules.read_failures() == {}


async def test_without_the_setting_the_full_set_fails_to_the_end(aged: Host) -> None:
    host, lineage = aged, replace(FULL, drops_failing_names=False)
    for _ in range(32):
        host.wait(DAY)
        await run(host, lineage=lineage)
    assert await names(host) == {A, DEAD}


async def test_order_of_the_rest_that_fails_too_is_reported_with_the_first_error(aged: Host) -> None:
    host = aged
    for days in (0, 10):
        host.wait(days * DAY)
        await run(host)
    host.wait(11.5 * DAY)
    orders = len(host.ca.orders)

    async def refuse_the_rest() -> None:
        if len(host.ca.orders) == orders + 2:
            raise OrderError("no answer", "it is away")

    host.ca.at_new_order = refuse_the_rest
    report = await run(host)
    assert str(report.error).startswith("the CA did not accept dead.example")
    assert "a WARNING: no answer: it is away" in host.progress.lines
    assert await names(host) == {A, DEAD}


@pytest.mark.parametrize("is_issued", [True, False], ids=["issued", "ordered"])
async def test_order_of_the_rest_is_continued_after_a_crash(aged: Host, *, is_issued: bool) -> None:
    host = aged
    for days in (0, 10):
        host.wait(days * DAY)
        await run(host)
    placed = await host.ca.new_order((A,), None, None)
    key = pki.make_certificate_key(KeyType.ECDSA_P256)
    csr = pki.make_csr(key, (A,))
    attempt = Attempt("a", host.ca.directory_url, (A,), key, csr, placed.url, host.ca.chain(csr) if is_issued else None)
    await host.state.attempts.record_attempt(attempt)
    orders = len(host.ca.orders)
    report = await run(host)
    assert (len(host.ca.orders), await names(host)) == (orders, REST)
    assert report.outcome is Outcome.FAILED
    assert "the CA refuses dead.example, so the certificate was renewed without" in str(report.error)
    assert (await host.state.schedules.read_failures())["a"].refused == {DEAD}


async def test_order_of_the_rest_that_is_lost_gives_way_to_the_full_set(aged: Host) -> None:
    host = aged
    await run(host)
    placed = await host.ca.new_order((A,), None, None)
    key = pki.make_certificate_key(KeyType.ECDSA_P256)
    await host.state.attempts.record_attempt(
        Attempt("a", host.ca.directory_url, (A,), key, pki.make_csr(key, (A,)), placed.url)
    )
    host.ca.refused["a.example"] = GONE
    await run(host)
    host.ca.refused.clear()
    assert (await run(host)).outcome is Outcome.SERVED
    assert await names(host) == {A, DEAD}


FAILURE = Failure(
    "a",
    9,
    "validate",
    "no",
    Retry.SOON,
    NOW,
    NOW,
    NOW,
    identifiers=frozenset(FULL.identifiers),
    refused=frozenset({DEAD}),
    refused_since=NOW - timedelta(days=3),
)
LATE = replace(SCHEDULE, not_before=NOW - timedelta(days=81), not_after=NOW + timedelta(days=9))
RECORD = LineageRecord(failure=FAILURE, schedule=LATE)
SHORT = replace(LATE, not_before=NOW - timedelta(days=5.4), not_after=NOW + timedelta(days=0.6))


def refusing(refused: tuple[Identifier, ...] = (DEAD,), accepted: tuple[Identifier, ...] = (A,)) -> WellkeeperError:
    error = ChallengeError("no")
    error.identifiers, error.accepted = refused, accepted
    return error


def since(days: float) -> Failure:
    return replace(FAILURE, refused_since=NOW - timedelta(days=days))


@pytest.mark.parametrize(
    ("record", "error", "is_dropped"),
    [
        (RECORD, refusing(), True),
        (replace(RECORD, failure=None), refusing(), False),
        (replace(RECORD, schedule=None), refusing(), False),
        (replace(RECORD, failure=since(2.9)), refusing(), False),
        (replace(RECORD, failure=replace(FAILURE, refused_since=None)), refusing(), False),
        (replace(RECORD, failure=replace(FAILURE, refused=frozenset({A}))), refusing(), False),
        (replace(RECORD, failure=replace(FAILURE, identifiers=frozenset({A, B}))), refusing(), False),
        (replace(RECORD, schedule=replace(LATE, not_after=LATE.not_after + timedelta(hours=2))), refusing(), False),
        (RECORD, refusing(accepted=()), False),
        (RECORD, refusing(refused=()), False),
        (RECORD, refusing(refused=(A,), accepted=(DEAD,)), False),
        (RECORD, OrderError("the CA is away"), False),
        (replace(RECORD, schedule=SHORT, failure=since(1.5)), refusing(), True),
        (replace(RECORD, schedule=SHORT, failure=since(1.4)), refusing(), False),
        (replace(RECORD, schedule=replace(LATE, not_after=NOW - timedelta(days=1))), refusing(), True),
    ],
    ids=[
        "the last tenth after three days",
        "first failure",
        "nothing installed",
        "less than three days",
        "the CA has not judged so far",
        "other names were refused before",
        "other identifiers were ordered before",
        "more than a tenth is left",
        "no name passed",
        "no name was refused",
        "another name is refused now",
        "the CA is away",
        "six days of lifetime",
        "six days of lifetime, too soon",
        "expired",
    ],
)
def test_names_are_dropped_late_and_only_when_the_ca_refuses_them(
    record: LineageRecord, error: WellkeeperError, *, is_dropped: bool
) -> None:
    rest = remaining(FULL, record, error, NOW)
    assert rest == (replace(FULL, identifiers=(A,)) if is_dropped else None)
    assert remaining(replace(FULL, drops_failing_names=False), record, error, NOW) is None


def test_reason_of_other_changes_is_the_settings() -> None:
    for identifiers in ((A, B), (A,), (DEAD,)):
        schedule = replace(SCHEDULE, identifiers=frozenset({A, DEAD}))
        reason = due_reason(replace(FULL, identifiers=identifiers), "v1", schedule, NOW)
        assert reason == "the identifiers in the settings changed"
