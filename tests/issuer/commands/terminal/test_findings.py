"""Findings as text and JSON."""

from dataclasses import replace

import pytest

from tests.json_docs import assert_documented
from wellkeeper_issuer.commands.terminal.findings import show, to_json
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_node.findings import Finding, Verdict

OK = Finding("clock", Verdict.OK, "", "this host's clock agrees with the CA's")
WARN = Finding("rehearsal", Verdict.WARN, "web", "the last one is 40 days old", "Run 'wellkeeper rehearse web'.")
FAIL = Finding(
    "challenge-route",
    Verdict.FAIL,
    "www.example.org",
    "'return 301' answers before the location is reached",
    "Move it into 'location /'.",
    "/etc/nginx/sites-enabled/www:7",
)
SKIPPED = Finding("dns", Verdict.SKIPPED, "", "it needs the network")
FOUND = [OK, WARN, SKIPPED, FAIL]
TEXT = """\
fail     www.example.org: 'return 301' answers before the location is reached (challenge-route)
         /etc/nginx/sites-enabled/www:7
         Move it into 'location /'.
warn     web: the last one is 40 days old (rehearsal)
         Run 'wellkeeper rehearse web'.
skipped  it needs the network (dns)
"""
COUNTS = "1 fail, 1 warn, 1 skipped, 1 ok\n"


@pytest.mark.parametrize(
    ("verbosity", "text"),
    [
        (Verbosity.BRIEF, TEXT + COUNTS),
        (Verbosity.VERBOSE, f"{TEXT}ok       this host's clock agrees with the CA's (clock)\n{COUNTS}"),
        (Verbosity.QUIET, TEXT.partition("warn")[0]),
    ],
    ids=lambda one: one.value if isinstance(one, Verbosity) else "",
)
def test_worst_findings_come_first_with_place_fix_and_a_summary(
    capsys: pytest.CaptureFixture[str], verbosity: Verbosity, text: str
) -> None:
    show(FOUND, verbosity)
    assert capsys.readouterr().out == text


def test_checks_that_were_skipped_for_one_reason_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    other = replace(SKIPPED, check="caa")
    show([SKIPPED, replace(other, subject="web"), other, WARN, WARN], Verbosity.BRIEF)
    lines = capsys.readouterr().out.splitlines()
    assert lines[4:] == [
        "skipped  it needs the network (dns, caa)",
        "skipped  web: it needs the network (caa)",
        "2 warn, 3 skipped",
    ]


def test_many_subjects_that_were_skipped_for_one_reason_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([replace(SKIPPED, subject=f"n{number}") for number in range(5)], Verbosity.BRIEF)
    assert capsys.readouterr().out == "skipped  n0, n1, n2 and 2 more: it needs the network (dns)\n5 skipped\n"


def test_healthy_host_has_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([OK, OK], Verbosity.BRIEF)
    assert capsys.readouterr().out == "2 ok\n"


def test_quiet_healthy_host_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show([OK, WARN], Verbosity.QUIET)
    assert capsys.readouterr().out == ""


def test_nothing_checked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show([], Verbosity.BRIEF)
    assert capsys.readouterr().out == "nothing was checked\n"


def test_json_has_all_findings_in_their_order() -> None:
    found = to_json(FOUND)
    assert_documented("doctor", {"schema_version": 1, **found})
    assert (found["verdict"], found["counts"]) == ("fail", {"fail": 1, "warn": 1, "skipped": 1, "ok": 1})
    assert [one["check"] for one in found["findings"]] == ["clock", "rehearsal", "dns", "challenge-route"]
    assert found["findings"][3]["place"] == "/etc/nginx/sites-enabled/www:7"
