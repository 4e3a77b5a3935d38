"""Reports sent over the daemon's socket."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes_deliver import dns
from wellkeeper_issuer.errors import OrderError, SettingsError
from wellkeeper_issuer.records import Rule, Schedule, Window
from wellkeeper_issuer.reports import Outcome, Report
from wellkeeper_issuer.service.report_wire import decode_report, encode_report
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.model import Certificate, Identifier, IdentifierType, KeyAlgorithm

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
CERTIFICATE = Certificate(
    frozenset({dns("b.example"), dns("a.example"), Identifier(IdentifierType.IP, "192.0.2.7")}),
    "abc",
    "f" * 64,
    "Fake CA",
    BEGIN,
    BEGIN + timedelta(days=90),
    False,
    KeyAlgorithm.RSA,
)
SCHEDULE = Schedule(
    "web",
    "v1",
    frozenset({dns("a.example")}),
    BEGIN,
    BEGIN,
    "https://ca/",
    "",
    None,
    Rule.ARI,
    BEGIN,
    None,
    Window(BEGIN, BEGIN),
)


def round_trip(report: Report) -> Report:
    return decode_report(json.loads(json.dumps(encode_report(report))))


@pytest.mark.parametrize("outcome", Outcome)
def test_report_survives_the_round_trip(outcome: Outcome) -> None:
    report = Report("web", outcome, "why", "what", CERTIFICATE, "f" * 64, {"order": 1.25}, None, BEGIN, SCHEDULE)
    assert round_trip(report) == report
    assert round_trip(Report("web", outcome, "why")) == Report("web", outcome, "why")


@pytest.mark.parametrize("error", [OrderError("no", retry=Retry.NEVER), SettingsError("bad"), WellkeeperError("x")])
def test_error_keeps_its_stage_and_text(error: WellkeeperError) -> None:
    found = round_trip(Report("web", Outcome.FAILED, "why", error=error)).error
    assert isinstance(found, WellkeeperError)
    assert (str(found), found.stage, found.retry) == (str(error), error.stage, error.retry)


def test_defect_has_no_stage() -> None:
    found = round_trip(Report("web", Outcome.FAILED, "why", error=ZeroDivisionError("x"))).error
    assert (str(found), hasattr(found, "stage")) == ("x", False)


def test_every_field_of_a_report_is_sent() -> None:
    assert encode_report(Report("web", Outcome.SERVED, "why")).keys() == {one.name for one in fields(Report)}
