"""Read the jobs of cron(8): of the system, of packages and of users. Not those of anacron and at."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TABLES: Final = ("etc/crontab", "etc/cron.d/*", "var/spool/cron/crontabs/*", "var/spool/cron/*")
# Scripts that run as a whole; cron ignores files that are not executable.
_SCRIPTS: Final = tuple(f"etc/cron.{often}/*" for often in ("hourly", "daily", "weekly", "monthly"))
_LONGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CronLine:
    """One line that cron runs; `place` is FILE:LINE."""

    place: str
    text: str


def read_cron(root: Path = Path("/")) -> tuple[CronLine, ...]:
    """Return all lines that may run something; files that this user may not read are left out."""
    tables = [path for pattern in _TABLES for path in sorted(root.glob(pattern))]
    scripts = [path for pattern in _SCRIPTS for path in sorted(root.glob(pattern)) if os.access(path, os.X_OK)]
    return tuple(line for path in (*tables, *scripts) for line in _lines(path))


def _lines(path: Path) -> Iterator[CronLine]:
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST).decode(errors="replace")
    except OSError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield CronLine(f"{path}:{number}", line.strip())
