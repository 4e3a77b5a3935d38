"""run: tests without a separate process; the others are in tests/integration/test_daemon_process.py."""

import asyncio
import logging

import pytest

from stand.processes import PROGRAMS
from tests.issuer.commands.conftest import Program
from wellkeeper_issuer.commands.terminal.progress import TextFormatter, journal_prefix
from wellkeeper_issuer.outside.state.lock import LocalOwnership


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
def test_levels_have_the_priorities_of_the_journal(level: int, line: str) -> None:
    record = logging.LogRecord("wellkeeper_issuer.daemon", level, "", 0, "te%s", ("xt",), None)
    assert TextFormatter(journal_prefix).format(record) == line


def test_missing_keys_are_reported(program: Program) -> None:
    program.configure("a.example")
    finished = program.run("run")
    assert (finished.exit_code, finished.out) == (2, "")
    assert "publishing_key.pem\n  the file does not exist\n  Run 'wellkeeper init' to create it" in finished.err
    assert not program.state_dir.exists()


def test_state_directory_too_deep_for_a_socket_is_reported(program: Program) -> None:
    program.state_dir = program.folder / ("a" * 100)
    program.configure("a.example")
    program.make_keys()
    finished = program.run("run")
    assert finished.exit_code == 2
    assert "is too long\n  the path of the daemon's socket in it " in finished.err


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_daemon_starts_when_the_command_that_owns_the_state_has_ended(
    program: Program, *, is_stopped: bool
) -> None:
    program.configure("a.example")
    program.make_keys()
    start = (PROGRAMS / "wellkeeper", "run", "--config", program.config)
    async with LocalOwnership(program.state_dir).hold("renew"):
        daemon = await asyncio.create_subprocess_exec(*start, stderr=asyncio.subprocess.PIPE)
        assert daemon.stderr is not None
        await daemon.stderr.readuntil(b"the daemon starts when it has ended")
        if is_stopped:
            daemon.terminate()
            assert await daemon.wait() == 0
    if not is_stopped:
        await daemon.stderr.readuntil(b"started, pid")
        daemon.terminate()
    assert b"already manages" not in await daemon.stderr.read()
    assert await daemon.wait() == 0
