"""Tests of `wellkeeper --check-health`, as a container engine runs it."""

import asyncio
import os
from pathlib import Path

from stand.processes import PROGRAMS
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.workers import WorkerFactory


async def _check(path: Path, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        PROGRAMS / "wellkeeper",
        "--check-health",
        *arguments,
        env=os.environ | {"WELLKEEPER_CONFIG": str(path)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    return process.returncode, err.decode()


async def test_daemon_that_answers_is_healthy(daemon: WorkerFactory) -> None:
    assert await _check(daemon.path) == (0, "")
    # Its own options need the rest of the program.
    assert await _check(Path("/nowhere"), f"--config={daemon.path}") == (0, "")


async def test_daemon_that_does_not_run_is_not_healthy(program: Program) -> None:
    program.configure("a.example")
    why = f"no healthy daemon at unix:{program.state_dir}/daemon.sock\n"
    assert await _check(program.config) == (1, why)


def test_daemon_of_settings_that_cannot_be_read_has_the_usual_place(program: Program) -> None:
    finished = program.run("--config", str(program.folder / "none.toml"), "--check-health")
    assert finished.exit_code == 1
    assert finished.err == "no healthy daemon at unix:/var/lib/wellkeeper/issuer/daemon.sock\n"
