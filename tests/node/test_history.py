"""The file of a history: durable lines, repaired after a crash, bounded, and harmless if it cannot be written."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from wellkeeper_node import durable, history
from wellkeeper_node.happened import NO_HISTORY, Author, Happened, What
from wellkeeper_node.history import Entry, HistoryFile, author, read

ALICE = Author("root", "wellkeeper node remove web2", "alice")
REMOVED = Happened(What.NODE_REMOVED, "web2", {"compromised": "yes"})
DELIVERED = Happened(What.CERTIFICATE_DELIVERED, "web", {"node": "web2"})
# Repeats events until it is killed, and says so once it has begun.
_ENDLESS = """
import sys
from pathlib import Path
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.happened import Author, Happened, What
from wellkeeper_node.history import HistoryFile
file = HistoryFile(Path(sys.argv[1]), lambda: Author("root", "x"), SystemClock(), 20_000)
while True:
    file.add(*[Happened(What.NODE_REMOVED, "web2")] * 20)
    print(flush=True)
"""


def history_of(folder: Path, clock: FakeClock, most_bytes: int = history.MOST_BYTES) -> HistoryFile:
    return HistoryFile(folder, lambda: ALICE, clock, most_bytes, lock_seconds=0.1)


def subjects(folder: Path) -> list[str]:
    entries, damaged = read(folder)
    assert damaged == 0
    return [one.subject for one in entries]


def test_event_is_read_as_it_was_added(tmp_path: Path, clock: FakeClock) -> None:
    history_of(tmp_path, clock).add(REMOVED)
    at = clock.now().astimezone(UTC).replace(microsecond=0)
    assert read(tmp_path) == ([Entry(at, "node-removed", "web2", {"compromised": "yes"}, ALICE)], 0)


def test_host_without_a_history_has_none(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == ([], 0)
    NO_HISTORY.add(REMOVED)


def test_events_of_both_files_are_in_order(tmp_path: Path, clock: FakeClock) -> None:
    file = history_of(tmp_path, clock)
    for happened in (REMOVED, DELIVERED, REMOVED):
        file.add(happened)
        clock.advance(2)
    assert subjects(tmp_path) == ["web2", "web", "web2"]
    assert (tmp_path / "history-nodes.jsonl").read_text().count("\n") == 1


def test_events_about_one_subject_are_those_of_both_files(tmp_path: Path, clock: FakeClock) -> None:
    about_web = Happened(What.NODE_REMOVED, "web2", {"certificates": "web"})
    history_of(tmp_path, clock).add(DELIVERED, about_web, Happened(What.CERTIFICATE_ADDED, "web"))
    found = history.read_about(tmp_path, "web")
    assert [one.what for one in found] == [What.CERTIFICATE_ADDED, What.CERTIFICATE_DELIVERED]


def test_file_is_for_its_owner_only(tmp_path: Path, clock: FakeClock) -> None:
    former = os.umask(0)
    try:
        history_of(tmp_path / "state", clock).add(REMOVED)
    finally:
        os.umask(former)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()} == {0o600}


@pytest.mark.parametrize("torn", ['{"at": "2026-', '{"at": "2026-\0\0\0', '{"at":'])
def test_what_a_crash_left_of_a_line_is_cut_off(tmp_path: Path, clock: FakeClock, torn: str) -> None:
    file, path = history_of(tmp_path, clock), tmp_path / "history.jsonl"
    file.add(REMOVED)
    path.write_text(path.read_text() + torn)
    assert subjects(tmp_path) == ["web2"]
    file.add(Happened(What.NODE_ADDED, "web3"))
    assert subjects(tmp_path) == ["web2", "web3"]
    path.write_text(torn)
    file.add(REMOVED)
    assert subjects(tmp_path) == ["web2"]


def test_killed_writer_leaves_a_history_that_goes_on(tmp_path: Path, clock: FakeClock) -> None:
    with subprocess.Popen([sys.executable, "-c", _ENDLESS, tmp_path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    before = subjects(tmp_path)
    history_of(tmp_path, clock).add(REMOVED)
    assert subjects(tmp_path) == [*before, "web2"]


def test_oldest_events_go_when_there_are_too_many(tmp_path: Path, clock: FakeClock) -> None:
    file = history_of(tmp_path, clock, most_bytes=2000)
    for number in range(50):
        file.add(Happened(What.NODE_ADDED, f"web{number}"))
        clock.advance(1)
    found = subjects(tmp_path)
    assert found == [f"web{number}" for number in range(50 - len(found), 50)]
    assert 10 < len(found) < 30
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000


def test_nodes_do_not_displace_what_people_did(tmp_path: Path, clock: FakeClock) -> None:
    file = history_of(tmp_path, clock, most_bytes=2000)
    file.add(REMOVED)
    for _ in range(50):
        file.add(DELIVERED, Happened(What.NODE_REKEYED, "thief"))
    assert subjects(tmp_path).count("web2") == 1
    assert "thief" in subjects(tmp_path)


def test_damaged_line_is_counted_and_hides_no_other(tmp_path: Path, clock: FakeClock) -> None:
    file, path = history_of(tmp_path, clock), tmp_path / "history.jsonl"
    file.add(REMOVED)
    path.write_text(f"{path.read_text()}[]\n{{}}\nx\n")
    file.add(REMOVED)
    entries, damaged = read(tmp_path)
    assert (len(entries), damaged) == (2, 3)


def test_line_that_was_removed_is_not_missed(tmp_path: Path, clock: FakeClock) -> None:
    file, path = history_of(tmp_path, clock), tmp_path / "history.jsonl"
    for name in ("web2", "thief", "web3"):
        file.add(Happened(What.NODE_ADDED, name))
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "thief" not in line))
    assert subjects(tmp_path) == ["web2", "web3"]


def test_words_of_others_are_one_harmless_line(tmp_path: Path, clock: FakeClock) -> None:
    history_of(tmp_path, clock).add(Happened(What.NODE_REKEYED, "a\nb", {"reason": "\x1b[2J\u202ex" + "y" * 9999}))
    entry = read(tmp_path)[0][0]
    assert entry.subject == "a b"
    assert entry.details["reason"].startswith("[2J xy")
    assert len(entry.details["reason"]) == 1000
    assert (tmp_path / "history-nodes.jsonl").read_bytes().isascii()


def test_long_list_is_kept_whole(tmp_path: Path, clock: FakeClock) -> None:
    names = ", ".join(f"{number}.shop.example.org" for number in range(10_000))
    history_of(tmp_path, clock).add(Happened(What.NODE_REMOVED, "web2", {"certificates": names}))
    assert read(tmp_path)[0][0].details == {"certificates": names}


def test_line_that_another_program_wrote_is_harmless_too(tmp_path: Path) -> None:
    line = {"at": "2026-01-01T00:00:00+00:00", "kind": "x", "subject": "\x1b", "details": {"\n": "\x07"}, "user": "u"}
    (tmp_path / "history.jsonl").write_text(json.dumps({**line, "command": "a\rb"}) + "\n")
    entry = read(tmp_path)[0][0]
    assert (entry.subject, entry.details, entry.author) == ("", {"": ""}, Author("u", "a b"))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let writes end there, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_costs_an_event_and_nothing_else(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    file, path = history_of(tmp_path, clock), tmp_path / "history.jsonl"
    file.add(REMOVED)
    before = path.read_bytes()
    with largest_file(len(before) + 9):
        file.add(REMOVED)
    assert path.read_bytes() == before
    assert caplog.messages == [f"cannot add an event to the history: {tmp_path}: File too large"]


def test_what_cannot_be_written_is_logged_and_not_raised(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    history_of(tmp_path / "file/state", clock).add(REMOVED)
    (tmp_path / "history.jsonl").symlink_to(tmp_path / "file")
    history_of(tmp_path, clock).add(REMOVED)
    with durable.locked(tmp_path / "history.lock", "history"):
        history_of(tmp_path, clock).add(REMOVED)
    assert [message.partition(": ")[0] for message in caplog.messages] == ["cannot add an event to the history"] * 3
    assert "another process has held the lock" in caplog.messages[-1]
    assert (tmp_path / "file").read_text() == ""


def test_author_is_the_user_and_the_command_without_secrets() -> None:
    arguments = ["node", "invite", "web 2", "--relay=https://me:secret@relay.example/x?token=secret#secret"]
    found = author("wellkeeper", arguments, {"SUDO_USER": "alice"})
    assert found.command == "wellkeeper node invite 'web 2' '--relay=https://…@relay.example/x?…'"
    assert (found.user, found.sudo_user) == (author("x", [], {}).user, "alice")
    assert author("x", [], {}) == Author(found.user, "x")
