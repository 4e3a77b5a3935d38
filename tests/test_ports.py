"""Free ports of the stand."""

import subprocess
import sys

from stand.ports import free_port
from stand.processes import PROJECT


def test_ports_are_never_the_same() -> None:
    assert len({free_port() for _ in range(5)}) == 5


def test_reserved_block_leaves_no_open_socket_behind() -> None:
    """The interpreter warns about those at its end, after pytest."""
    command = [sys.executable, "-W", "always", "-c", "from stand.ports import free_port; free_port()"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT, timeout=60)
    assert finished.stderr == ""
