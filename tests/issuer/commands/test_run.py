"""run: what can be tried without a process of its own; the rest is in tests/integration/test_daemon_process.py."""

import logging

import pytest

from tests.issuer.commands.conftest import Program
from wellkeeper_issuer.commands.terminal.progress import TextFormatter, journal_prefix


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (logging.CRITICAL, "<2>text"),
        (logging.ERROR, "<3>text"),
        (logging.WARNING, "<4>text"),
        (logging.INFO, "<6>text"),
        (logging.DEBUG, "<7>text"),
    ],
)
def test_levels_are_what_the_journal_reads(level: int, line: str) -> None:
    record = logging.LogRecord("wellkeeper_issuer.daemon", level, "", 0, "te%s", ("xt",), None)
    assert TextFormatter(journal_prefix).format(record) == line


def test_host_that_was_not_set_up(program: Program) -> None:
    program.configure("a.example")
    finished = program.run("run")
    assert (finished.exit_code, finished.out) == (2, "")
    assert "publishing_key.pem\n  the file does not exist\n  Run 'wellkeeper init' to create it" in finished.err
    assert not program.state_dir.exists()


def test_folder_that_is_too_deep_for_a_socket(program: Program) -> None:
    program.state_dir = program.folder / ("a" * 100)
    program.configure("a.example")
    program.make_keys()
    finished = program.run("run")
    assert finished.exit_code == 2
    assert "is too long\n  the path of the daemon's socket in it " in finished.err
