"""The responder's limits on connections hold under the soft limit on open files that most systems start it with."""

from pathlib import Path

import pytest

from stand.responder import INSTALLED, ResponderProcess
from tests.trust_files import trusting
from wellkeeper_responder.capacity import MAX_CONTROL_CONNECTIONS, MAX_PUBLIC_CONNECTIONS

pytestmark = pytest.mark.integration


def soft_limit(pid: int) -> int:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Max open files")]
    return int(line.split()[3])


async def test_soft_limit_on_open_files_does_not_lower_the_limits_on_connections(folder: Path) -> None:
    program = folder / "limited"
    program.write_text(f'#!/bin/sh\nulimit -Sn 256\nexec {INSTALLED} "$@"\n')
    program.chmod(0o755)
    async with ResponderProcess(folder, trusting(folder), program=program) as running:
        assert soft_limit(running.process.pid) > MAX_PUBLIC_CONNECTIONS + MAX_CONTROL_CONNECTIONS


async def test_insufficient_hard_limit_is_reported(folder: Path) -> None:
    program = folder / "limited"
    program.write_text(f'#!/bin/sh\nulimit -n 256\nexec {INSTALLED} "$@"\n')
    program.chmod(0o755)
    async with ResponderProcess(folder, trusting(folder), program=program) as running:
        assert "the limit on open files is 256" in running.process.tail()
