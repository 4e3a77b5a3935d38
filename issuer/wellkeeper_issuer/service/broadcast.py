"""Send progress to the log and to the clients that asked for the work."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from wellkeeper_node.ports import Progress

Send = Callable[[Mapping[str, Any]], None]


class Broadcast:
    """Implements `ports.Progress`; also records what is in progress."""

    def __init__(self, log: Progress) -> None:
        self._log = log
        self._listeners: list[tuple[frozenset[str], Send]] = []
        self._under_way: dict[str, str] = {}

    @property
    def under_way(self) -> Mapping[str, str]:
        """Return the current stage by lineage."""
        return dict(self._under_way)

    @contextmanager
    def listening(self, lineages: Collection[str], send: Send) -> Iterator[None]:
        """Inside, `send` gets the events of these lineages, as messages of the daemon's socket."""
        listener = frozenset(lineages), send
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def started(self, lineage: str, stage: str) -> None:
        self._under_way[lineage] = stage
        self._log.started(lineage, stage)
        self._send(lineage, stage=stage, event="started")

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._under_way.pop(lineage, None)
        self._log.finished(lineage, stage, seconds, detail)
        self._send(lineage, stage=stage, event="finished", seconds=seconds, detail=detail)

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._under_way.pop(lineage, None)
        self._log.failed(lineage, stage, seconds, detail)
        self._send(lineage, stage=stage, event="failed", seconds=seconds, detail=detail)

    def note(self, lineage: str, text: str) -> None:
        self._log.note(lineage, text)
        self._send(lineage, event="note", detail=text)

    def _send(self, lineage: str, **message: object) -> None:
        for lineages, send in self._listeners:
            # "3 certificates" is not a lineage: events of several, such as a reload, are sent to all.
            if lineage in lineages or " " in lineage:
                send({"certificate": lineage, **message})


def replay(message: Mapping[str, Any], progress: Progress) -> None:
    """Report an event that came over the socket."""
    lineage, stage = str(message.get("certificate", "")), str(message.get("stage", ""))
    seconds, detail = float(message.get("seconds", 0.0)), str(message.get("detail", ""))
    match message.get("event"):
        case "started":
            progress.started(lineage, stage)
        case "finished":
            progress.finished(lineage, stage, seconds, detail)
        case "failed":
            progress.failed(lineage, stage, seconds, detail)
        case "note":
            progress.note(lineage, detail)
