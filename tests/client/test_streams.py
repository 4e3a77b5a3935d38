"""Standard streams of a process that take no output, or are closed."""

import os
import subprocess
import sys

import pytest

from tests.lost import Sink, sink

SECURE = "import sys; from wellkeeper_client import streams; streams.secure('program'); "
REPORT = f"{SECURE}print('größer'); print('two'); sys.exit(3 * streams.is_output_lost())"
FULL = "program: cannot write to standard output: No space left on device\n"


def run(code: str, *shell: str, out: int | None = None, err: int = subprocess.PIPE) -> tuple[int, str]:
    """Return exit status and standard error."""
    command = [*shell, sys.executable, "-X", "utf8", "-c", code]
    finished = subprocess.run(command, stdout=out, stderr=err, check=False)
    return finished.returncode, (finished.stderr or b"").decode()


@pytest.mark.parametrize(("kind", "words"), [("full", FULL), ("closed pipe", ""), ("closed socket", "")])
def test_report_that_is_lost_is_a_failure_and_named_once_unless_its_reader_left(kind: Sink, words: str) -> None:
    with sink(kind) as lost:
        assert run(REPORT, out=lost) == (3, words)


def test_standard_error_shows_what_standard_output_cannot_take() -> None:
    code = REPORT.replace("print('g", "streams.report_on_stderr(); print('g", 1)
    with sink("full") as lost:
        assert run(code, out=lost) == (0, f"{FULL}größer\ntwo\n")


@pytest.mark.parametrize("kind", ["full", "closed pipe", "closed socket"])
def test_log_that_cannot_be_written_changes_nothing(kind: Sink) -> None:
    with sink(kind) as lost:
        assert run(f"{SECURE}print('x', file=sys.stderr); sys.exit(3)", err=lost) == (3, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_leave_no_descriptor_for_other_files(closed: str) -> None:
    code = f"{SECURE}print(sys.stdin.read(0)); print('x', file=sys.stderr); sys.exit(open('/dev/null').fileno())"
    status, _ = run(code, "sh", "-c", f'exec "$0" "$@" {closed}')
    assert status >= 3


def test_unbuffered_streams_do_not_wait_for_the_end_of_the_process() -> None:
    unbuffered = ("env", "PYTHONUNBUFFERED=1")
    assert run(f"{SECURE}print('x', file=sys.stderr); import os; os._exit(3)", *unbuffered) == (3, "x\n")


def test_all_output_arrives_on_a_terminal_that_another_process_made_non_blocking() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    code = f"{SECURE}print(20_000_000 * 'x', end=''); sys.exit(3 * streams.is_output_lost())"
    with subprocess.Popen([sys.executable, "-c", code], stdout=writing) as started, os.fdopen(reading, "rb") as pipe:
        os.close(writing)
        assert len(pipe.read()) == 20_000_000
        assert started.wait() == 0
