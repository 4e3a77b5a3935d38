"""Progress of a pass without a terminal."""

import io
import json
import logging
import os
import re

import pytest

from wellkeeper_issuer.commands.terminal.progress import JsonProgress, LineProgress, LogFormat, progress
from wellkeeper_node.ports import Progress


def report_stages(reported: Progress) -> None:
    reported.started("web", "order")
    reported.finished("web", "order", 1.23456, "https://ca.example/order/1")
    reported.failed("web", "publish", 0.5, "node 'n1' is away")
    reported.note("web", "due: no certificate yet")


def test_text_has_one_line_per_stage() -> None:
    out = io.StringIO()
    report_stages(LineProgress(out))
    lines = out.getvalue().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (ERROR )?web: ", line) for line in lines)
    assert [line.split(" ", 1)[1] for line in lines] == [
        "web: order      1.23 s  https://ca.example/order/1",
        "ERROR web: publish    0.50 s  failed: node 'n1' is away",
        "web: due: no certificate yet",
    ]


def test_json_has_one_object_per_line() -> None:
    out = io.StringIO()
    report_stages(JsonProgress(out))
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one.pop("time")) for one in found)
    assert found == [
        {"level": "info", "certificate": "web", "stage": "order", "event": "started"},
        {
            "level": "info",
            "certificate": "web",
            "stage": "order",
            "event": "finished",
            "seconds": 1.235,
            "detail": "https://ca.example/order/1",
        },
        {
            "level": "error",
            "certificate": "web",
            "stage": "publish",
            "event": "failed",
            "seconds": 0.5,
            "detail": "node 'n1' is away",
        },
        {"level": "info", "certificate": "web", "event": "note", "detail": "due: no certificate yet"},
    ]


def test_format_is_chosen_by_name_and_defaults_to_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for name, kind in (("auto", LineProgress), ("text", LineProgress), ("json", JsonProgress)):
        with progress(name) as reported:  # type: ignore[arg-type]
            assert isinstance(reported, kind)
            reported.note("web", "here")
    out, err = capsys.readouterr()
    assert (out, err.count("here")) == ("", 3)


def test_log_lines_have_the_same_dates_as_progress_lines() -> None:
    handler = logging.StreamHandler(out := io.StringIO())
    logging.getLogger().addHandler(handler)
    try:
        with progress("text"):
            logging.getLogger("wellkeeper_issuer.daemon").warning("looks again")
    finally:
        logging.getLogger().removeHandler(handler)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ WARNING looks again\n", out.getvalue())


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_journal_lines_have_a_priority_and_no_date(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, log_format: LogFormat
) -> None:
    stream = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{stream.st_dev}:{stream.st_ino}")
    with progress(log_format) as reported:
        reported.note("web", "here")
        reported.failed("web", "order", 1.0, "away")
    note, failed = capsys.readouterr().err.splitlines()
    assert note.startswith("<6>web: here" if log_format == "text" else "<6>{")
    assert failed.startswith("<3>web: order " if log_format == "text" else "<3>{")


def test_inherited_journal_variable_is_ignored_for_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    with progress("text") as reported:
        reported.note("web", "here")
    assert capsys.readouterr().err.endswith("Z web: here\n")


def test_log_lines_are_json_too() -> None:
    handler = logging.StreamHandler(out := io.StringIO())
    logging.getLogger().addHandler(handler)
    try:
        with progress("json"):
            logging.getLogger("wellkeeper_node.certificates.folders").warning("%s holds nothing", "/live/web")
        logging.getLogger("wellkeeper_issuer").warning("afterwards")
    finally:
        logging.getLogger().removeHandler(handler)
    inside, afterwards = out.getvalue().splitlines()
    found = json.loads(inside)
    assert found.pop("time").endswith("Z")
    assert found == {
        "event": "log",
        "level": "warning",
        "logger": "folders",
        "detail": "/live/web holds nothing",
    }
    assert afterwards == "afterwards"
