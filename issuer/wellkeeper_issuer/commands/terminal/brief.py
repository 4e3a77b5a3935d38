"""Progress of `renew`: a counter in a terminal, one line per finished certificate elsewhere, stages only with -v.

Failures are counted and not explained here: the result does that, on standard output.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from wellkeeper_issuer.commands.terminal import screen
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.commands.terminal.progress import LogFormat, progress
from wellkeeper_issuer.commands.terminal.tally import Tally
from wellkeeper_node.ports import Progress

# The last stage of a renewal, but for the deploy hook.
_LAST_STAGE: Final = "verify"
# Notes that are not about a certificate; they say what happens after Ctrl-C.
_OF_THE_RUN: Final = frozenset({"daemon", "renew"})


class BriefProgress:
    """Implements `ports.Progress`: passes on warnings, and one note per finished certificate unless `is_counted`."""

    def __init__(self, inner: Progress, tally: Tally, *, is_counted: bool) -> None:
        self._inner = inner
        self._tally = tally
        self._is_counted = is_counted

    def started(self, lineage: str, stage: str) -> None:
        self._tally.start(lineage, stage)

    def finished(self, lineage: str, stage: str, _seconds: float, detail: str) -> None:
        self._tally.finish(lineage, is_last=stage == _LAST_STAGE)
        if stage == _LAST_STAGE and not self._is_counted:
            self._inner.note(lineage, detail if self._tally.is_of_one else f"{detail} ({self._tally.counter})")

    def failed(self, lineage: str, _stage: str, _seconds: float, _detail: str) -> None:
        self._tally.finish(lineage, is_last=True)

    def note(self, lineage: str, text: str) -> None:
        if lineage in _OF_THE_RUN or text.startswith("WARNING"):
            self._inner.note(lineage, text)


class UnexplainedFailures:
    """Implements `ports.Progress`: passes everything on but the details of failures, which the result has."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self.started, self.finished, self.note = inner.started, inner.finished, inner.note

    def failed(self, lineage: str, stage: str, seconds: float, _detail: str) -> None:
        self._inner.failed(lineage, stage, seconds, "")


class Silence:
    """Implements `ports.Progress`: prints nothing."""

    def started(self, lineage: str, stage: str) -> None:
        """Print nothing."""

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        """Print nothing."""

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        """Print nothing."""

    def note(self, lineage: str, text: str) -> None:
        """Print nothing."""


class Warnings(Silence):
    """Implements `ports.Progress`: prints nothing but warnings."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner

    def note(self, lineage: str, text: str) -> None:
        """Print the note if it is a warning."""
        if text.startswith("WARNING"):
            self._inner.note(lineage, text)


@contextmanager
def brief_progress(
    log_format: LogFormat, verbosity: Verbosity, tally: Tally, *, has_json_result: bool
) -> Iterator[Progress]:
    """Yield the progress of a run whose result goes to standard output.

    With a JSON result, only warnings are printed unless more is asked for.
    """
    if verbosity is Verbosity.QUIET:
        with _errors_only():
            yield Silence()
    elif log_format == "json":
        with progress(log_format) as events:
            yield events
    elif verbosity is Verbosity.VERBOSE:
        with progress(log_format) as stages:
            yield UnexplainedFailures(stages)
    elif has_json_result and log_format == "auto":
        with progress("text") as lines:
            yield Warnings(lines)
    elif log_format == "auto" and sys.stderr.isatty() and not screen.is_dumb():
        from wellkeeper_issuer.commands.terminal.live import live_counter

        with live_counter(tally) as counter:
            yield BriefProgress(counter, tally, is_counted=True)
    else:
        with progress("text") as lines:
            yield BriefProgress(lines, tally, is_counted=False)


@contextmanager
def _errors_only() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
