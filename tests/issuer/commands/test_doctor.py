"""doctor in this process: exit status, names, JSON, and the ends of other commands."""

import pytest

from tests.issuer.commands.conftest import Program
from tests.json_docs import assert_documented
from wellkeeper_issuer.assembly.doctor import CHECKS
from wellkeeper_issuer.commands import further
from wellkeeper_node.findings import Finding, Verdict

BROKEN_NGINX = "[nginx]\ncommand = ['false']"


@pytest.mark.parametrize("text", ["ca = ", "read_backs = true\nca = 7"], ids=["syntax", "mistakes"])
def test_unusable_settings_are_a_finding_with_the_words_of_config_check(program: Program, text: str) -> None:
    program.config.parent.mkdir()
    program.config.write_text(text)
    finished = program.run("doctor", "a.example")
    assert (finished.exit_code, finished.err) == (2, "")
    checked = program.run("config", "check")
    for line in checked.err.removeprefix("wellkeeper: ").splitlines():
        place, _, words = line.partition(": ")
        assert place.strip() in finished.out
        assert words in finished.out
    found = program.run("doctor", "--json")
    assert (found.exit_code, found.json()["verdict"]) == (2, "fail")


def test_file_that_the_settings_name_is_one_failure_and_the_settings_are_used(program: Program) -> None:
    program.configure("a.example", "b.example", more="ca_bundle = '/nowhere/ca.pem'")
    finished = program.run("doctor", "--json")
    failed = [one for one in finished.json()["findings"] if one["verdict"] == "fail" and "ca.pem" in one["cause"]]
    assert [one["check"] for one in failed] == ["settings-files"]
    assert finished.exit_code == 1


def test_unknown_name_is_refused_with_similar_ones(program: Program) -> None:
    program.configure("a.example", "b.example", more=BROKEN_NGINX)
    refused = program.run("doctor", "a.exampel")
    assert (refused.exit_code, refused.out) == (2, "")
    assert "no certificate is named 'a.exampel'" in refused.err
    assert "Did you mean a.example" in refused.err


def test_failed_check_ends_with_exit_status_1_and_the_summary(program: Program) -> None:
    program.configure("a.example", more=BROKEN_NGINX)
    finished = program.run("doctor", "--offline")
    assert (finished.exit_code, finished.err) == (1, "")
    *lines, summary = finished.out.splitlines()
    assert summary.split()[1] == "fail,"
    assert any(line.startswith("fail     ") for line in lines)
    assert not any(line.startswith("ok ") for line in lines)
    assert program.run("doctor", "--offline", "-v").out.count("\nok ") > 0
    quiet = program.run("doctor", "--offline", "-q").out
    assert quiet.startswith("fail     ")
    assert "skipped" not in quiet
    assert program.run("doctor", "-q", "-v").exit_code == 2


def test_json_has_every_check(program: Program) -> None:
    program.configure("a.example", more=BROKEN_NGINX)
    finished = program.run("doctor", "--json")
    assert finished.exit_code == 1
    assert_documented("doctor", finished.json())
    found = finished.json()["findings"]
    assert {one["check"] for one in found} <= {id_ for check in CHECKS for id_ in check.ids}
    assert {check.name for check in CHECKS if check.needs_network} <= {
        one["check"] for one in found if one["verdict"] == "skipped"
    }


def test_every_problem_has_a_cause_of_one_line_and_a_fix(program: Program) -> None:
    program.configure("a.example", more=BROKEN_NGINX)
    for one in program.run("doctor", "--json").json()["findings"]:
        assert one["cause"], one
        assert "\n" not in one["cause"], one
        assert not one["cause"].endswith("."), one
        assert one["verdict"] in {"ok", "skipped"} or one["fix"].endswith("."), one


FOUND = [
    Finding("a", Verdict.WARN, "", "the clock is slow", "Set it."),
    Finding("a", Verdict.OK, "", "all is fine"),
    Finding("a", Verdict.FAIL, "web", "over IPv4: cannot read it back: port 80 redirected", "Move 'return 301'."),
    Finding("hidden", Verdict.FAIL, "web", "what the command tried itself", "Fix it."),
    Finding("a", Verdict.FAIL, "web", "no CAA record allows it", "Add one."),
    Finding("a", Verdict.SKIPPED, "", "no root"),
]


def test_ids_that_commands_leave_out_exist() -> None:
    ids = {id_ for check in CHECKS for id_ in check.ids}
    assert (further.REHEARSED | further.BEFORE_NGINX) - ids == frozenset()


def test_commands_end_with_what_they_did_not_say_the_worst_first(capsys: pytest.CaptureFixture[str]) -> None:
    said = "web: failed (publish): cannot read it back\n  port 80 redirected\n  Move it."
    found = further.select(FOUND, said, {"hidden"})
    assert [one.cause for one in found] == ["no CAA record allows it", "the clock is slow"]
    further.show(found)
    assert capsys.readouterr().out == (
        "\nAlso, 'wellkeeper doctor' reports:\n"
        "fail     web: no CAA record allows it (a)\n         Add one.\n"
        "warn     the clock is slow (a)\n         Set it.\n"
    )


def test_commands_end_without_a_heading_when_nothing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    further.show([])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", [["rehearse"], ["certificate", "add", "b.example"]], ids=["rehearse", "add"])
def test_rehearsal_and_addition_end_with_findings(program: Program, command: list[str]) -> None:
    program.configure("a.example", more=BROKEN_NGINX)
    program.make_keys()
    finished = program.run(*command)
    assert finished.exit_code == 1
    assert "Also, 'wellkeeper doctor' reports:\nfail     " in finished.out
