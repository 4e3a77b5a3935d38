"""Tests of `wellkeeper-node --check-health`, as a container engine runs it."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from wellkeeper_node.start import SILENT_SECONDS, STATUS_FILE

# The program, and `python -m`, which loads all of it.
_STARTS = {
    "program": ["-c", "from wellkeeper_node.start import main; main()"],
    "module": ["-m", "wellkeeper_node"],
}


def _check(config: Path, start: Sequence[str] = _STARTS["program"]) -> tuple[int, str]:
    environment = os.environ | {"WELLKEEPER_NODE_CONFIG": str(config)}
    command = [sys.executable, *start, "--check-health"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return found.returncode, found.stderr


@pytest.mark.parametrize("start", _STARTS.values(), ids=_STARTS)
def test_agent_that_wrote_its_report_lately_is_healthy(tmp_path: Path, start: Sequence[str]) -> None:
    config, status = tmp_path / "node.toml", tmp_path / STATUS_FILE
    config.write_text(f"state_dir = '{tmp_path}'")
    failure = f"no healthy agent: it did not write {status} within 180 s\n"
    assert _check(config, start) == (1, failure)
    status.touch()
    assert _check(config, start) == (0, "")
    written_at = time.time() - SILENT_SECONDS - 1
    os.utime(status, (written_at, written_at))
    assert _check(config, start) == (1, failure)


def test_agent_with_settings_that_cannot_be_read_has_the_usual_place(tmp_path: Path) -> None:
    status, err = _check(tmp_path / "none.toml")
    assert (status, "/var/lib/wellkeeper/node/status.json" in err) == (1, True)
