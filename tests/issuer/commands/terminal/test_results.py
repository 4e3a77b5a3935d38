"""The result of renewing many certificates."""

import pytest

from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.commands.terminal.results import summary, to_lines
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.reports import Outcome, Report

REPORTS = (
    Report("a", Outcome.SERVED, "due"),
    Report("b", Outcome.UNCHANGED, "not due"),
    Report("c", Outcome.FAILED, "due", error=OrderError("no order", "the CA is away", "Retry later.")),
    Report("d", Outcome.WAITING, "it failed once"),
    Report("e", Outcome.NOT_SERVED_YET, "due", "add these lines"),
)
SUMMARY = "5 certificates: 1 served, 1 failed, 1 waiting, 1 not served yet, 1 not due"
FAILED = "c: failed (order): no order\n  the CA is away\n  Retry later."
WAITING = "d: waiting\n  it failed once"
OTHERS = "e: installed, not served yet\n  add these lines"


def test_summary_counts_the_outcomes() -> None:
    assert summary(REPORTS) == SUMMARY


@pytest.mark.parametrize(
    ("verbosity", "lines"),
    [
        (Verbosity.QUIET, [FAILED, WAITING]),
        (Verbosity.BRIEF, ["a: served", FAILED, WAITING, OTHERS, SUMMARY]),
        (Verbosity.VERBOSE, ["a: served", "b: not due", FAILED, WAITING, OTHERS, SUMMARY]),
    ],
)
def test_failed_and_unserved_certificates_have_lines(verbosity: Verbosity, lines: list[str]) -> None:
    assert list(to_lines(REPORTS, verbosity)) == lines


@pytest.mark.parametrize("report", REPORTS)
def test_single_certificate_has_no_summary(report: Report) -> None:
    (line,) = to_lines([report], Verbosity.BRIEF)
    assert line.startswith(f"{report.lineage}: ")


def test_certificate_that_no_handshake_shows_is_installed() -> None:
    report = Report("f", Outcome.INSTALLED, "due", "no handshake can reach it")
    assert list(to_lines([report], Verbosity.BRIEF)) == ["f: installed\n  no handshake can reach it"]
    assert summary([report, *REPORTS]).startswith("6 certificates: 1 served, 1 installed, 1 failed")
