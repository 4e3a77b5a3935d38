"""Run promtool, which checks metrics and tests rules."""

import subprocess
from pathlib import Path
from typing import Final

from stand.processes import PROJECT, find_program

RULES: Final = PROJECT / "monitoring/wellkeeper.rules.yml"
CASES: Final = PROJECT / "monitoring/wellkeeper.rules.test.yml"
_UNPACKED: Final = PROJECT / ".cache/prometheus/usr/bin"


def promtool(*arguments: str | Path, text: str = "") -> str:
    """Return its output, "" if it has no complaint about metrics; raises AssertionError when it fails."""
    argv = [find_program("promtool", _UNPACKED), *map(str, arguments)]
    finished = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


def complaints(metrics: str) -> str:
    """Return what promtool finds wrong with these metrics."""
    return promtool("check", "metrics", text=metrics)
