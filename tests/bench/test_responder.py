"""Memory of processes, from /proc."""

import subprocess
import sys
from collections.abc import Callable
from typing import Final

import pytest

from bench.responder import peak_mib, resident_mib

_PROGRAM: Final = "import sys; del (b := bytearray(b'x') * 2**25)[:]; print(flush=True); sys.stdin.read()"


def test_peak_memory_includes_what_was_freed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert peak_mib(process.pid) > 32 > resident_mib(process.pid) > 0


@pytest.mark.parametrize("read", [peak_mib, resident_mib])
def test_ended_process_uses_no_memory(read: Callable[[int], float]) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert read(process.pid) == 0
