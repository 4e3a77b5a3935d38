"""Progress in a terminal: a spinner for each stage under way and a line for each one that ended, or a counter."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.text import Text

from wellkeeper_issuer.commands.terminal.console import make_console
from wellkeeper_issuer.commands.terminal.tally import Tally

_REFRESHES_PER_SECOND: Final = 8


class LiveProgress:
    """Implements `ports.Progress`: lists every stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: dict[tuple[str, str], Spinner] = {}

    def started(self, lineage: str, stage: str) -> None:
        self._running[lineage, stage] = Spinner("dots", Text(f"{lineage}  {stage} …"))

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._end(
            lineage, stage, f"[green]✓[/] {escape(lineage)}  {stage:8} {seconds:6.2f} s  [dim]{escape(detail)}[/]"
        )

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._end(
            lineage, stage, f"[red]✗[/] {escape(lineage)}  {stage:8} {seconds:6.2f} s  {escape(detail) or 'failed'}"
        )

    def note(self, lineage: str, text: str) -> None:
        _print_note(self._console, lineage, text)

    def _end(self, lineage: str, stage: str, line: str) -> None:
        self._running.pop((lineage, stage), None)
        self._console.print(line)

    def to_renderable(self) -> Group:
        return Group(*self._running.values())


class LiveCounter:
    """Implements `ports.Progress` for `BriefProgress`: one line that shows the tally."""

    def __init__(self, console: Console, tally: Tally) -> None:
        self._console = console
        self._tally = tally
        self._spinner = Spinner("dots")

    def started(self, lineage: str, stage: str) -> None:
        """Print nothing: the tally is redrawn several times per second."""

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        """Print nothing, as above."""

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        """Print nothing, as above."""

    def note(self, lineage: str, text: str) -> None:
        _print_note(self._console, lineage, text)

    def to_renderable(self) -> Text:
        frame = self._spinner.render(self._console.get_time())
        parts = (frame if isinstance(frame, Text) else "", " ", self._tally.line)
        return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


@contextmanager
def live_progress() -> Iterator[LiveProgress]:
    """Yield a progress that lists stages on standard error."""
    console = make_console(is_stderr=True)
    progress = LiveProgress(console)
    with _redrawn(console, progress.to_renderable):
        yield progress


@contextmanager
def live_counter(tally: Tally) -> Iterator[LiveCounter]:
    """Yield a progress that shows the tally on standard error."""
    console = make_console(is_stderr=True)
    counter = LiveCounter(console, tally)
    with _redrawn(console, counter.to_renderable):
        yield counter


@contextmanager
def _redrawn(console: Console, to_renderable: Callable[[], RenderableType]) -> Iterator[None]:
    """Redraw the lines until the end; all that is printed or logged meanwhile goes above them."""
    direct = sys.stderr
    live = Live(console=console, get_renderable=to_renderable, refresh_per_second=_REFRESHES_PER_SECOND, transient=True)
    with live, ExitStack() as undo:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is direct:
                handler.setStream(sys.stderr)  # rich replaced it
                undo.callback(handler.setStream, direct)
        yield


def _print_note(console: Console, lineage: str, text: str) -> None:
    console.print(f"[blue]·[/] {escape(lineage)}  {escape(text)}")
