"""Count the certificates of a run that are finished."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """The number of finished certificates of a run; `total` is None while it is unknown."""

    total: int | None = None
    _running: dict[str, str] = field(default_factory=dict)
    _finished: set[str] = field(default_factory=set)

    def start(self, lineage: str, stage: str) -> None:
        """Note a stage; a certificate that failed at one CA is running again when the next one is tried."""
        self._running[lineage] = stage
        self._finished.discard(lineage)

    def finish(self, lineage: str, *, is_last: bool) -> None:
        """Note the end of a stage, and of the certificate if it was the last one or failed."""
        self._running.pop(lineage, None)
        if is_last:
            self._finished.add(lineage)

    @property
    def is_of_one(self) -> bool:
        return self.total == 1

    @property
    def counter(self) -> str:
        """`12/50`, or `12 finished`."""
        count = len(self._finished)
        return f"{count} finished" if self.total is None else f"{min(count, self.total)}/{self.total}"

    @property
    def line(self) -> str:
        """The counter with all stages under way."""
        stages = ", ".join(f"{lineage}  {stage}".rstrip() + " …" for lineage, stage in tuple(self._running.items()))
        return stages if self.is_of_one else f"{self.counter}  {stages}".rstrip()
