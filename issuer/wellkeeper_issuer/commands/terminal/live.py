"""Progress in a terminal: a spinner for every stage under way, a line for every one that ended."""

from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.text import Text

_REFRESHES_PER_SECOND: Final = 8


class LiveProgress:
    """Implements `ports.Progress`. Use as a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._running: dict[tuple[str, str], Spinner] = {}
        self._live = Live(console=self._console, refresh_per_second=_REFRESHES_PER_SECOND, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, lineage: str, stage: str) -> None:
        self._running[lineage, stage] = Spinner("dots", Text(f"{lineage}  {stage} …"))
        self._show()

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._end(
            lineage, stage, f"[green]✓[/] {escape(lineage)}  {stage:8} {seconds:6.2f} s  [dim]{escape(detail)}[/]"
        )

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._end(lineage, stage, f"[red]✗[/] {escape(lineage)}  {stage:8} {seconds:6.2f} s  {escape(detail)}")

    def note(self, lineage: str, text: str) -> None:
        self._console.print(f"[blue]·[/] {escape(lineage)}  {escape(text)}", highlight=False)

    def _end(self, lineage: str, stage: str, line: str) -> None:
        self._running.pop((lineage, stage), None)
        self._show()
        self._console.print(line, highlight=False)

    def _show(self) -> None:
        self._live.update(Group(*self._running.values()))
