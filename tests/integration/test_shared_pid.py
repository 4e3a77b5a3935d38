"""A real nginx in a shared PID namespace, without its binary: found, read, reloaded, and refused."""

import sys
from pathlib import Path

import pytest

from stand.processes import Process
from tests.integration.shared_pid import SCENARIOS

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.nginx]


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_nginx_in_a_shared_pid_namespace(folder: Path, scenario: str) -> None:
    namespace = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    inside = (sys.executable, "-m", "tests.integration.shared_pid", scenario, str(folder))
    process = Process(scenario, (*namespace, *inside), folder / "scenario.log")
    try:
        await process.start(_at_once)
        assert await process.wait() == 0, process.tail(60)
    finally:
        await process.stop()


async def _at_once() -> bool:
    return True
