"""renew: exit statuses and printed reports. Complete passes are in tests/integration."""

import fcntl
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes_deliver import dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.commands.statuses import NAME, UNTIL, schedule
from wellkeeper_issuer.commands.one_shot import to_json
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.results import to_text
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.reports import Outcome, Report
from wellkeeper_node.model import Certificate

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINEAGE = Lineage("web", (dns("b.example"), dns("a.example")))
CERTIFICATE = Certificate(
    frozenset({dns("b.example"), dns("a.example")}),
    "abc",
    "f" * 64,
    "Fake CA",
    BEGIN,
    BEGIN + timedelta(days=90),
    False,
)


def test_identifier_of_one_certificate_is_accepted_as_its_name(program: Program) -> None:
    program.configure(more="[[certificates]]\nidentifiers = ['a.example', 'www.a.example']")
    finished = program.run("why", "www.a.example")
    assert finished.exit_code == 0
    assert finished.out.startswith("Certificate a.example ")


def test_identifier_of_several_certificates_is_refused_with_their_names(program: Program) -> None:
    more = "".join(f"[[certificates]]\nname = '{name}'\nidentifiers = ['a.example']\n" for name in ("rsa", "ecdsa"))
    program.configure(more=more)
    finished = program.run("why", "a.example")
    assert "'a.example' is covered by 2 certificates: rsa, ecdsa\n  Name one of them: rsa." in finished.err
    assert finished.exit_code == 2


def test_similar_names_are_suggested_for_a_mistyped_one(program: Program) -> None:
    program.configure(*(f"n{number}.example" for number in range(30)))
    finished = program.run("renew", "n31.example")
    assert "Did you mean n" in finished.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("nobody.example",),
            "wellkeeper: no certificate is named 'nobody.example'",
        ),
        (
            ("--config", "/nowhere/issuer.toml"),
            "wellkeeper: /nowhere/issuer.toml does not exist\n  Run 'wellkeeper",
        ),
        (("--log-format", "xml"), "'xml' is not one of 'auto', 'text', 'json'"),
        (("--bogus",), "No such option"),
        ((), "publishing_key.pem\n  the file does not exist\n  Run 'wellkeeper init' to create it"),
    ],
    ids=["unknown name", "no settings", "bad value", "bad flag", "no keys"],
)
def test_usage_and_settings_errors_exit_with_2(program: Program, arguments: tuple[str, ...], words: str) -> None:
    program.configure("a.example")
    finished = program.run("renew", *arguments)
    assert (finished.exit_code, finished.out) == (2, "")
    assert words in finished.err


@pytest.mark.parametrize("content", [None, b"no PEM"], ids=["missing", "damaged"])
def test_unusable_bundle_exits_with_2(program: Program, folder: Path, content: bytes | None) -> None:
    if content is not None:
        (folder / "ca.pem").write_bytes(content)
    program.configure("a.example", more=f"cannot use ca_bundle = '{folder}/ca.pem'")
    program.make_keys()
    finished = program.run("renew")
    assert finished.exit_code == 2
    assert f"cannot use ca_bundle = '{folder}/ca.pem'\n" in finished.err


def test_failed_certificate_exits_with_1(program: Program, nginx_table: str) -> None:
    program.configure("a.example", more=nginx_table)
    program.make_keys()
    finished = program.run("renew")
    assert finished.exit_code == 1
    assert finished.out.startswith(
        f"a.example: failed (order): no answer from the CA 127.0.0.1 to the request for its directory {UNREACHABLE_CA}"
    )
    assert "a.example: " not in finished.err


def test_failure_is_explained_only_in_the_result(program: Program, nginx_table: str) -> None:
    program.configure("a.example", more=nginx_table)
    program.make_keys()
    finished = program.run("renew", "-v")
    assert "a.example: due: no certificate yet\n" in finished.err
    assert re.search(r"a\.example: order +\d+\.\d+ s  failed\n", finished.err)
    assert (finished.out + finished.err).count("no answer from the CA") == 1


def test_quiet_prints_nothing_but_errors(program: Program, nginx_table: str) -> None:
    program.configure("a.example", more=nginx_table)
    program.make_keys()
    finished = program.run("renew", "-q")
    assert (finished.exit_code, finished.err) == (1, "")
    assert finished.out.startswith("a.example: failed (order): ")


def test_json_result_is_printed_without_progress(program: Program, nginx_table: str) -> None:
    program.configure("a.example", more=nginx_table)
    program.make_keys()
    assert "a.example: " not in program.run("renew", "--json").err
    assert "a.example: order" in program.run("renew", "--json", "--retry", "-v").err


def test_verbose_and_quiet_exclude_each_other(program: Program) -> None:
    program.configure("a.example")
    finished = program.run("renew", "-v", "-q")
    assert (finished.exit_code, finished.out) == (2, "")
    assert "-v and -q cannot be combined" in finished.err


def test_json_goes_to_stdout_and_progress_to_stderr(program: Program, nginx_table: str) -> None:
    program.configure("a.example", more=nginx_table)
    program.make_keys()
    finished = program.run("renew", "--json", "--log-format", "json")
    assert finished.exit_code == 1
    (found,) = finished.json()["certificates"]
    assert (found["name"], found["outcome"], found["reason"]) == ("a.example", "failed", "no certificate yet")
    assert found["error"]["what"].startswith("no answer from the CA")
    events = [json.loads(line) for line in finished.err.splitlines()]
    assert [(one["certificate"], one.get("stage"), one["event"]) for one in events] == [
        ("a.example", None, "note"),
        ("a.example", "order", "started"),
        ("a.example", "order", "failed"),
    ]


def test_dry_run_is_a_rehearsal(program: Program) -> None:
    program.configure("a.example", more="[nginx]\ncommand = ['false']")
    program.make_keys()
    finished = program.run("renew", "a.example", "--dry-run")
    assert finished.exit_code == 1
    assert finished.out.startswith("a.example: a renewal would fail: trust: ")
    assert "; directory: " in finished.out


@pytest.mark.parametrize("option", ["--force", "--retry", "--staging"])
def test_dry_run_takes_only_names(program: Program, option: str) -> None:
    program.configure("a.example")
    finished = program.run("renew", "--dry-run", option)
    assert finished.exit_code == 2
    assert "--dry-run cannot be combined with --force, --retry or --staging" in finished.err


def test_staging_overrides_the_settings(program: Program) -> None:
    program.configure("a.example")
    assert options.read(program.config, is_staging=True).ca == ("letsencrypt-staging",)
    assert options.read(program.config).ca == (UNREACHABLE_CA,)


def test_running_pass_of_another_process_exits_with_1(program: Program) -> None:
    program.configure("a.example")
    program.make_keys()
    with (program.state_dir / "state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = program.run("renew")
        assert program.run("status").exit_code == 0
    assert (finished.exit_code, finished.out) == (1, "")
    assert finished.err.startswith("wellkeeper: Another Wellkeeper process is changing ")


def report(outcome: Outcome, *, detail: str = "", error: Exception | None = None) -> Report:
    certificate = None if error else CERTIFICATE
    return Report("web", outcome, "two thirds passed", detail, certificate, "f" * 64, {"order": 1.23456}, error)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (report(Outcome.SERVED), "web: served, valid until 2026-05-30"),
        (report(Outcome.UNCHANGED), "web: not due, valid until 2026-05-30"),
        (
            report(Outcome.NOT_SERVED_YET, detail="add these lines"),
            "web: installed, not served yet, valid until 2026-05-30\n  add these lines",
        ),
        (report(Outcome.FAILED, error=OrderError("the CA is away")), "web: failed (order): the CA is away"),
        (report(Outcome.FAILED, error=KeyError("x")), "web: failed (internal): unexpected error: KeyError('x')"),
    ],
)
def test_report_prints_as_a_line(found: Report, text: str) -> None:
    assert to_text(found) == text


def test_report_prints_as_json() -> None:
    assert to_json(report(Outcome.SERVED), LINEAGE) == {
        "name": "web",
        "outcome": "served",
        "reason": "two thirds passed",
        "identifiers": ["b.example", "a.example"],
        "serial": "abc",
        "fingerprint_sha256": "f" * 64,
        "issued_by": "Fake CA",
        "not_before": "2026-03-01T12:00:00+00:00",
        "not_after": "2026-05-30T12:00:00+00:00",
        "served_fingerprint_sha256": "f" * 64,
        "seconds": {"order": 1.235},
        "detail": "",
        "error": None,
        "next_try_at": None,
    }
    failed = to_json(report(Outcome.FAILED, error=OrderError("the CA is away")), LINEAGE)
    assert (failed["error"]["what"], failed["error"]["retry"]) == ("the CA is away", "soon")
    assert (failed["serial"], failed["not_after"]) == (None, None)


def test_json_always_has_the_same_keys() -> None:
    well = to_json(report(Outcome.SERVED), LINEAGE)
    left_alone = to_json(Report(NAME, Outcome.UNCHANGED, "not due", schedule=schedule("v1")), LINEAGE)
    failed = to_json(report(Outcome.FAILED, error=KeyError("x")), LINEAGE)
    assert list(well) == list(left_alone) == list(failed)
    assert left_alone["identifiers"] == failed["identifiers"] == ["b.example", "a.example"]
    assert (left_alone["serial"], left_alone["not_after"]) == (None, UNTIL.isoformat())
