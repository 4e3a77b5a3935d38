"""history: what is shown of it, and what commands add to it, without secrets."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.issuer.ages import make_identity
from tests.issuer.commands.backups import make_backup
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.commands.test_node import LINE
from tests.json_docs import assert_documented
from wellkeeper_node.happened import Author, Happened, What
from wellkeeper_node.history import HistoryFile

NOW = datetime.now(UTC)
ALICE = Author("root", "wellkeeper node add web2 wkn1:x", "alice")
REASON = "nginx says no \x1b[31m" + "x y " * 100


@pytest.fixture
def filled(program: Program) -> Program:
    """Return a host on which something happened ten days ago, and more an hour ago."""
    program.configure("a.example")
    clock = FakeClock(NOW - timedelta(days=10))
    file = HistoryFile(program.state_dir, lambda: ALICE, clock)
    file.add(Happened(What.NODE_ADDED, "web2"))
    clock.advance(timedelta(days=10, hours=-1).total_seconds())
    file.add(Happened(What.CERTIFICATE_REFUSED, "a.example", {"node": "web2", "reason": REASON}))
    file.add(Happened(What.CERTIFICATE_ISSUED, "b.example", {"names": "b.example, c.example"}))
    return program


def subjects(program: Program, *arguments: str) -> list[str]:
    return [one["subject"] for one in program.run("history", *arguments, "--json").json()["events"]]


def test_newest_is_last_with_its_author(filled: Program) -> None:
    lines = filled.run("history").out.splitlines()
    at = f"{NOW - timedelta(days=10):%Y-%m-%d %H:%M:%S} UTC"
    assert lines[:2] == [f"{at}  node-added  web2", "  by root (sudo: alice): wellkeeper node add web2 wkn1:x"]
    assert lines[2].endswith("UTC  certificate-issued  b.example")
    assert lines[3] == "  names: b.example, c.example"
    assert lines[-1].startswith("  by root (sudo: alice): wellkeeper")
    found = filled.run("history", "--json").json()
    assert_documented("history", found)
    assert [one["kind"] for one in found["events"]] == ["node-added", "certificate-issued", "certificate-refused"]
    assert (found["left_out"], found["damaged"], found["events"][0]["sudo_user"]) == (0, 0, "alice")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("web2",), ["web2", "a.example"]),
        (("c.example",), ["b.example"]),
        (("none",), []),
        (("--since", "7d"), ["a.example", "b.example"]),
        (("--since", "30m"), []),
        (("--since", f"{NOW - timedelta(days=11):%Y-%m-%d}", "--kind", "node-added"), ["web2"]),
        (("--kind", "node-added", "--kind", "certificate-issued"), ["web2", "b.example"]),
        (("--limit", "1"), ["a.example"]),
    ],
)
def test_events_can_be_chosen(filled: Program, arguments: tuple[str, ...], expected: list[str]) -> None:
    assert sorted(subjects(filled, *arguments)) == sorted(expected)


def test_page_has_all_kinds() -> None:
    text = (Path(__file__).parents[3] / "docs/history.md").read_text()
    assert re.findall(r"^\| `([a-z]+-[a-z-]+)` \|", text, re.MULTILINE) == [one.value for one in What]


def test_words_of_others_stay_harmless_in_their_line(filled: Program) -> None:
    out = filled.run("history", "a.example").out
    assert "\x1b" not in out
    assert "  reason: nginx says no [31mx y" in out


def test_what_is_left_out_or_damaged_is_counted(filled: Program) -> None:
    with (filled.state_dir / "history.jsonl").open("a") as file:
        file.write("junk\n")
    lines = filled.run("history", "--limit", "1").out.splitlines()
    assert lines[0] == "2 earlier events not shown: see --limit and --since"
    assert lines[-1] == "1 line of the history cannot be read"


def test_host_without_events_says_so(program: Program) -> None:
    program.configure("a.example")
    assert program.run("history").out == "nothing is recorded\n"


def test_mistakes_are_refused(filled: Program) -> None:
    finished = filled.run("history", "--since", "tomorrow")
    assert (finished.exit_code, "'tomorrow' is neither a duration, such as 7d" in finished.err) == (2, True)
    assert filled.run("history", "--kind", "x").exit_code == 2
    (filled.state_dir / "history.jsonl").unlink()
    (filled.state_dir / "history.jsonl").mkdir()
    finished = filled.run("history")
    assert (finished.exit_code, "cannot read" in finished.err) == (1, True)
    assert finished.err.count("\n") == 3


def test_commands_leave_what_they_changed_and_no_secret(program: Program) -> None:
    agree = ("--agree-to-terms-of-service", "--ca", UNREACHABLE_CA, "--certificate", "a.example")
    folders = ("--state-dir", str(program.state_dir), "--certificates-dir", str(program.certificates_dir))
    key = make_identity(program.folder / "identity.txt")
    assert program.run("init", *agree, *folders).exit_code == 0
    assert program.run("renew", "a.example", "--force").exit_code == 1
    for line in (
        ("certificate", "add", "b.example", "--no-renew"),
        ("node", "add", "web9", LINE),
        ("node", "add", "web9", LINE),
        ("node", "remove", "web9", "--yes"),
        ("fleet", "listen", "10.0.0.1:8404"),
        ("trust", "--write"),
        ("key", "prepare", "publishing"),
        ("key", "prepare", "publishing"),
        ("key", "switch", "publishing", "--force"),
        ("key", "retire", "publishing", "--force"),
        ("key", "prepare", "account"),
        ("certificate", "remove", "b.example", "--yes"),
        ("backup", str(program.folder / "backup"), "--recipient", key),
    ):
        assert program.run(*line).exit_code == 0, line
    events = program.run("history", "--json").json()["events"]
    assert [(one["kind"], one["subject"]) for one in events] == [
        ("settings-written", str(program.config)),
        ("key-made", "account"),
        ("key-made", "publishing"),
        ("trust-written", str(program.config.with_name("trust.toml"))),
        ("certificate-requested", "a.example"),
        ("certificate-added", "b.example"),
        ("node-added", "web9"),
        ("node-removed", "web9"),
        ("key-made", "fleet"),
        ("key-made", "fleet"),
        ("settings-written", str(program.config.with_name("relay.env"))),
        ("settings-written", str(program.config.with_suffix(".d") / "fleet.toml")),
        ("trust-written", str(program.config.with_name("trust.toml"))),
        ("key-made", "publishing"),
        ("key-switched", "publishing"),
        ("key-retired", "publishing"),
        ("key-made", "account"),
        ("certificate-removed", "b.example"),
        ("backup-written", str(program.folder / "backup")),
    ]
    assert events[-1]["details"]["recipients"] == key
    assert not _secrets(program) & _words((program.state_dir / "history.jsonl").read_text())


def test_restored_host_has_what_was_recorded_before_the_backup(program: Program, tmp_path: Path) -> None:
    backup = make_backup(program, tmp_path)
    backup.make()
    backup.lose()
    assert backup.restore().exit_code == 0
    kinds = [one["kind"] for one in program.run("history", "--json").json()["events"]]
    assert kinds[-2:] == ["backup-written", "backup-restored"]
    assert "trust-written" in kinds


def _secrets(program: Program) -> set[str]:
    """Return the long words of all private keys."""
    texts = [path.read_text() for path in (*program.state_dir.rglob("*.pem"), program.folder / "identity.txt")]
    private = [text for text in texts if "PRIVATE KEY" in text or "SECRET-KEY" in text]
    assert len(private) >= 5
    return {word for text in private for word in text.split() if len(word) > 40 and not word.startswith("age1")}


def _words(text: str) -> set[str]:
    return set(re.split(r'[\s",:]+', text))


def test_commands_work_where_the_history_cannot_be_written(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    program.configure("a.example")
    program.make_keys()
    (program.state_dir / "history.jsonl").symlink_to(os.devnull)
    assert program.run("key", "prepare", "publishing").exit_code == 0
    assert (program.state_dir / "publishing_key.next.pem").exists()
    assert "cannot add an event to the history" in caplog.text
