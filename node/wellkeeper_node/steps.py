"""Time the stages of one renewal and report them to `Progress`."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Clock, Progress


class Step:
    """One stage; `detail` is shown beside it once it is done."""

    def __init__(self) -> None:
        self.detail = ""


class Steps:
    """The stages of one renewal; `seconds` by stage in the order in which they ran, summed for repeated ones.

    `fetched_by` are the clients that fetched the tokens, as responders reported them.
    """

    def __init__(self, lineage: str, clock: Clock, progress: Progress) -> None:
        self.lineage = lineage
        self.seconds: dict[str, float] = {}
        self.fetched_by: Sequence[str] = ()
        self._clock = clock
        self._progress = progress

    @contextmanager
    def step(self, stage: str) -> Iterator[Step]:
        step = Step()
        began = self._clock.monotonic()
        self._progress.started(self.lineage, stage)
        try:
            yield step
        except BaseException as error:
            if isinstance(error, WellkeeperError):
                error.certificate = error.certificate or self.lineage
            self._progress.failed(self.lineage, stage, self._clock.monotonic() - began, _words(error))
            raise
        seconds = self._clock.monotonic() - began
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self._progress.finished(self.lineage, stage, seconds, step.detail)


def _words(error: BaseException) -> str:
    """Return the text of the error, with the class for errors of other libraries."""
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return "cancelled"
    return str(error) if isinstance(error, WellkeeperError) else repr(error)
