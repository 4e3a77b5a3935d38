"""The processes of `scripts/test --booted`: each has one release of Debian."""

import os
import subprocess
import sys
from pathlib import Path

from stand.processes import PROJECT

CONFTEST = "from tests.systemd.conftest import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler\n"
TESTS = """
import os, pathlib, pytest

@pytest.mark.parametrize("release", ["bookworm", "trixie"])
@pytest.mark.parametrize("number", range(6))
def test_one(release, number):
    pathlib.Path(f"{release}-{os.environ['PYTEST_XDIST_WORKER']}").touch()
"""


def test_all_tests_of_a_release_share_a_process(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_machines.py").write_text(TESTS)
    (tmp_path / "pytest.ini").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    argv = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider"]
    finished = subprocess.run(
        argv, cwd=tmp_path, env={**environment, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout
    found = [path.name.split("-") for path in sorted(tmp_path.glob("*-gw*"))]
    assert [release for release, _ in found] == ["bookworm", "trixie"]
    assert found[0][1] != found[1][1]
