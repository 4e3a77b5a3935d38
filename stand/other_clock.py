"""A wall clock for single processes, set by libfaketime: nothing else on the machine sees another time.

It can be changed while they run, as by NTP. Their monotonic clock stays right.
"""

from collections.abc import Mapping
from pathlib import Path

from stand.processes import StandError


class OtherClock:
    """Processes with its `environment` go by this clock, which starts so many seconds ahead of the right time."""

    def __init__(self, folder: Path, ahead_seconds: int) -> None:
        self._file = folder / "clock"
        self.set(ahead_seconds)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead_seconds: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_seconds:+d}\n")
        new.replace(self._file)


def _library() -> Path:
    found = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if found is None:
        raise StandError("there is no libfaketime; run scripts/install")
    return found
