"""Progress for several at once: the log, and whoever asked for the work."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from wellkeeper_node.ports import Progress

Tell = Callable[[Mapping[str, Any]], None]


class Broadcast:
    """Implements `ports.Progress`; also knows what is under way."""

    def __init__(self, log: Progress) -> None:
        self._log = log
        self._listeners: list[tuple[frozenset[str], Tell]] = []
        self._under_way: dict[str, str] = {}

    @property
    def under_way(self) -> Mapping[str, str]:
        """By lineage: the stage that it is in."""
        return dict(self._under_way)

    @contextmanager
    def listening(self, lineages: Collection[str], tell: Tell) -> Iterator[None]:
        """Inside, `tell` gets what concerns these, as messages of the daemon's socket."""
        listener = frozenset(lineages), tell
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def started(self, lineage: str, stage: str) -> None:
        self._under_way[lineage] = stage
        self._log.started(lineage, stage)
        self._tell(lineage, stage=stage, event="started")

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._under_way.pop(lineage, None)
        self._log.finished(lineage, stage, seconds, detail)
        self._tell(lineage, stage=stage, event="finished", seconds=seconds, detail=detail)

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._under_way.pop(lineage, None)
        self._log.failed(lineage, stage, seconds, detail)
        self._tell(lineage, stage=stage, event="failed", seconds=seconds, detail=detail)

    def note(self, lineage: str, text: str) -> None:
        self._log.note(lineage, text)
        self._tell(lineage, event="note", detail=text)

    def _tell(self, lineage: str, **message: object) -> None:
        for lineages, tell in self._listeners:
            # "3 certificates" is no lineage's name: what concerns several, such as a reload, is told to all.
            if lineage in lineages or " " in lineage:
                tell({"certificate": lineage, **message})


def tell_again(message: Mapping[str, Any], progress: Progress) -> None:
    """What came over the socket, told to people here."""
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
