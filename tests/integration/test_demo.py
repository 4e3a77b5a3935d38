"""The demos, run as users run them: their results, and that nothing is left of them."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from stand.issuer import Finished
from stand.processes import PROJECT, search_path

pytestmark = pytest.mark.integration

NODES = ["web1", "web2", "web3"]
STEPS = ["set_up", "listen", "join", "first_certificates", "renewal", "renewal_while_away", "catch_up"]


@asynccontextmanager
async def running(folder: Path, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the demo, with its own files in the folder; leaving kills it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stand.demo", *arguments),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "TMPDIR": str(folder), **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def finished(folder: Path, *arguments: str, **environment: str) -> Finished:
    async with running(folder, *arguments, **environment) as process:
        out, err = await process.communicate()
        return Finished(await process.wait(), out.decode(), err.decode())


def left_of(folder: Path) -> list[str]:
    """Return the files in the folder, and the command lines of processes that have it there or in the environment."""
    found = [str(path) for path in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            command_line = (process / "cmdline").read_bytes()
            if f"{folder}/".encode() in command_line + (process / "environ").read_bytes():
                found.append(command_line.replace(b"\0", b" ").decode())
    return found


async def test_demo_verifies_certificate_and_renewal(folder: Path) -> None:
    shown = await finished(folder, "--json")
    assert shown.exit_code == 0, shown
    found = shown.json()
    assert [one["event"] for one in found["certificates"]] == ["first certificate", "renewal"]
    assert found["requests_failed"] == 0 < found["requests_served"]
    assert left_of(folder) == []


async def test_fleet_of_the_demo_is_renewed_and_catches_up(folder: Path) -> None:
    shown = await finished(folder, "--fleet", "--json")
    assert (shown.exit_code, shown.err) == (0, ""), shown
    found = shown.json()
    assert list(found) == ["nodes", "certificates", "seconds", "requests_served", "requests_failed"]
    assert [one["name"] for one in found["nodes"]] == NODES
    for node in found["nodes"]:
        assert (node["certificates"], node["current"], node["behind"], node["concern"]) == (3, 3, [], None)
        assert node["challenges_answered"] > 0
    away = found["nodes"].pop()
    assert {one["cause"] for one in away["was_behind"]} == {"version 2 is there, 3 is not yet"}
    assert [one["was_behind"] for one in found["nodes"]] == [[], []]
    assert [(one["event"], one["name"]) for one in found["certificates"]] == [
        (event, name)
        for event in ("first certificate", "renewal", "renewal while web3 is away")
        for name in ("www", "shop", "api")
    ]
    assert len({one["fingerprint_sha256"] for one in found["certificates"]}) == 9
    assert all(one["served_by"] == NODES for one in found["certificates"])
    assert list(found["seconds"]) == STEPS
    assert found["requests_failed"] == 0 < found["requests_served"]
    assert left_of(folder) == []


@pytest.mark.parametrize("moment", ["wellkeeper node invite web1", "the daemon starts"])
async def test_interrupted_fleet_leaves_nothing(folder: Path, moment: str) -> None:
    async with running(folder, "--fleet") as process:
        assert process.stderr is not None
        async for line in process.stderr:
            if moment in line.decode():
                break
        assert left_of(folder) != []
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert (process.returncode, err.decode().splitlines()[-1]) == (
            130,
            "interrupted; all started processes have ended",
        )
    assert left_of(folder) == []


async def test_fleet_that_cannot_start_says_why(folder: Path) -> None:
    shown = await finished(folder, "--fleet", "--json", WELLKEEPER_TEST_NGINX="oldest")
    assert (shown.exit_code, shown.out) == (1, "")
    assert shown.err.startswith("demo: WELLKEEPER_TEST_NGINX is 'oldest'")
    assert left_of(folder) == []


@pytest.mark.parametrize("arguments", [("--flee",), ("--fleet", "web1")])
async def test_wrong_arguments_are_a_usage_error(folder: Path, arguments: tuple[str, ...]) -> None:
    shown = await finished(folder, *arguments)
    assert (shown.exit_code, shown.out) == (2, "")
    assert "Usage: scripts/demo [OPTIONS]" in shown.err
    assert left_of(folder) == []
