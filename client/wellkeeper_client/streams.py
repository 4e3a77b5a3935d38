"""Standard streams that never raise: a program's work must not depend on who reads its output.

What cannot be written (a full disk, a reader that left, a stopped journal) is dropped, and characters that the locale
lacks are escaped. A command that only reports asks `is_output_lost` for its exit status.
"""

import io
import os
import select
import sys
from typing import Any, Final, TextIO

_NAMES: Final = ("stdin", "stdout", "stderr")
# A journal or a terminal that takes nothing for longer must not hold up a renewal.
_STALLED_SECONDS: Final = 2.0


class _Output(io.FileIO):
    """Standard output: waits for its reader; says once on standard error why output is lost."""

    def __init__(self, program: str) -> None:
        super().__init__(1, "w", closefd=False)
        self._program = program
        self._is_reported = False
        self.is_lost = False
        # Standard error shows what is lost, which then is not.
        self.has_substitute = False

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - as FileIO's
        try:
            while (written := super().write(data)) is None:
                _is_ready(1, None)  # another process made the terminal non-blocking
        except BrokenPipeError:
            self.is_lost = not self.has_substitute  # the reader that left needs no message
            return len(data)
        except OSError as error:
            self._report(error.strerror or str(error), bytes(data))
            return len(data)
        return written

    def _report(self, reason: str, data: bytes) -> None:
        self.is_lost = not self.has_substitute
        if not self._is_reported:
            self._is_reported = True
            sys.stderr.write(f"{self._program}: cannot write to standard output: {reason}\n")
        if self.has_substitute:
            sys.stderr.write(data.decode("utf-8", "backslashreplace"))


class _Log(io.FileIO):
    """Standard error: what it does not take within seconds is dropped, and from then on at once."""

    def __init__(self) -> None:
        super().__init__(2, "w", closefd=False)
        self._patience_seconds = _STALLED_SECONDS

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - as FileIO's
        try:
            if not _is_ready(2, self._patience_seconds):
                self._patience_seconds = 0
                return len(data)
            self._patience_seconds = _STALLED_SECONDS
            # A pipe that is ready takes this much without blocking (pipe(7)).
            return super().write(memoryview(data)[: select.PIPE_BUF]) or len(data)
        except OSError:
            return len(data)


def secure(program: str) -> None:
    """Replace the standard streams of this process; those that the caller closed lead to /dev/null."""
    _open_missing()
    # A caller that put a stream of its own in place keeps it.
    if sys.stderr is sys.__stderr__:
        sys.stderr = _wrapped(_Log(), sys.stderr)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _wrapped(_Output(program), sys.stdout)


def report_on_stderr() -> None:
    """Let standard error show what standard output cannot take, unless its reader left."""
    if (output := _output()) is not None:
        output.has_substitute = True


def is_output_lost() -> bool:
    """Flush standard output, and return whether some of it was lost."""
    sys.stdout.flush()
    output = _output()
    return output is not None and output.is_lost


def _output() -> _Output | None:
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Output) else None


def _open_missing() -> None:
    """Open /dev/null for closed streams: no other file may get their descriptors."""
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
            stream = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115 - until the end
            setattr(sys, name, stream)


def _wrapped(raw: io.FileIO, like: TextIO | None) -> TextIO:
    # PYTHONUNBUFFERED, which many containers set, makes it write-through instead of line-buffered.
    is_line_buffered = bool(getattr(like, "line_buffering", True) or getattr(like, "write_through", False))
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        getattr(like, "encoding", None),
        errors="backslashreplace",
        line_buffering=is_line_buffered,
    )


def _is_ready(descriptor: int, seconds: float | None) -> bool:
    """Wait until the descriptor takes output or fails."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(None if seconds is None else seconds * 1000))
