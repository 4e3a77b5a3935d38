"""Reports of settings that changed since the daemon loaded them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stand.processes import PROGRAMS
from tests.issuer.commands.workers import WorkerFactory
from wellkeeper_client import services
from wellkeeper_issuer.commands.terminal.outdated import ask_daemon, is_outdated, is_restart_needed
from wellkeeper_issuer.outside.daemon.server import daemon_socket
from wellkeeper_issuer.outside.daemon.socket import socket_path
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import read_settings
from wellkeeper_node.process import run


@asynccontextmanager
async def running(factory: WorkerFactory) -> AsyncIterator[None]:
    state_dir = read_settings(factory.path).state_dir
    state_dir.mkdir(exist_ok=True)
    async with factory.service() as service, daemon_socket(socket_path(state_dir), service.handlers):
        yield


@pytest.fixture
async def daemon(folder: Path) -> AsyncIterator[WorkerFactory]:
    """Run a daemon that answers over its socket."""
    factory = WorkerFactory(folder)
    factory.write("a.example")
    async with running(factory):
        yield factory


async def test_edited_settings_are_reported(daemon: WorkerFactory) -> None:
    settings = read_settings(daemon.path)
    assert not await is_outdated(settings, daemon.path)
    daemon.write("a.example", "b.example")
    assert await is_outdated(settings, daemon.path)
    await remote.demand(settings, {"command": "reload"})
    assert not await is_outdated(settings, daemon.path)


@pytest.mark.parametrize("line", ["status", "list", "why a.example", "config check", "rehearse", "renew"])
async def test_commands_report_settings_edited_without_a_reload(daemon: WorkerFactory, line: str) -> None:
    AccountFolder(read_settings(daemon.path).state_dir, ()).make_keys()
    command = [str(PROGRAMS / "wellkeeper"), *line.split(), "--config", str(daemon.path)]
    first = await run(command, 120)
    daemon.write("a.example", more="renewals_at_once = 9")
    second = await run(command, 120)
    assert ["Settings changed since the daemon loaded them. Run" in one.output for one in (first, second)] == [
        False,
        True,
    ]


async def test_new_drop_in_is_reported(daemon: WorkerFactory) -> None:
    drop_ins = daemon.path.with_suffix(".d")
    drop_ins.mkdir()
    (drop_ins / "b.toml").write_text("[[certificates]]\nidentifiers = ['b.example']\n")
    assert await is_outdated(read_settings(daemon.path), daemon.path)


async def test_touched_but_unchanged_file_is_not_reported(daemon: WorkerFactory) -> None:
    daemon.path.write_text(daemon.path.read_text())
    assert not await is_outdated(read_settings(daemon.path), daemon.path)


async def test_nothing_is_reported_without_a_daemon(folder: Path) -> None:
    factory = WorkerFactory(folder)
    factory.write("a.example")
    assert not await is_outdated(read_settings(factory.path), factory.path)


async def test_status_reports_a_daemon_of_another_version(folder: Path) -> None:
    factory = WorkerFactory(folder)
    factory.write("a.example")
    settings = read_settings(factory.path)
    assert not is_restart_needed(await ask_daemon(settings))
    for build, is_old in ((factory.build, False), ("that of another version", True)):
        factory.build = build
        async with running(factory):
            assert is_restart_needed(await ask_daemon(settings)) is is_old
            command = [str(PROGRAMS / "wellkeeper"), "status", "--config", str(factory.path)]
            printed = (await run(command, 120)).output
            assert (services.sentence("restart", "wellkeeper") in printed) is is_old


async def test_status_reports_what_fails_in_the_daily_checks(daemon: WorkerFactory) -> None:
    causes = (("web", "the key is not readable"), ("", "nginx refuses its configuration"))
    findings = [
        {"check": "c", "verdict": "fail", "subject": subject, "cause": cause, "fix": "Fix it.", "place": ""}
        for subject, cause in causes
    ]
    command = [str(PROGRAMS / "wellkeeper"), "status", "--config", str(daemon.path)]
    assert "doctor" not in (await run(command, 120)).output
    daemon.checked = {"checked_at": "2026-03-01T13:00:00+00:00", "findings": findings}
    printed = (await run(command, 120)).output
    assert "\ndoctor: web: the key is not readable\ndoctor: nginx refuses its configuration\n" in printed
    assert "\nRun 'sudo wellkeeper doctor' to see how to fix it (last checked at 2026-03-01 13:00 UTC)." in printed
    found = json.loads((await run([*command, "--json"], 120)).output)
    # The daemon of this test does not own the state.
    assert found["daemon"] is None


async def test_status_reports_a_heartbeat_that_fails(daemon: WorkerFactory) -> None:
    heartbeat = {"called_at": None, "failing_since": "2026-03-01T13:00:00+00:00", "error": "it answered with HTTP 404."}
    daemon.checked = {"checked_at": None, "findings": [], "heartbeat": heartbeat}
    printed = (await run([str(PROGRAMS / "wellkeeper"), "status", "--config", str(daemon.path)], 120)).output
    assert "\nheartbeat: has failed since 2026-03-01 13:00 UTC: it answered with HTTP 404.\n" in printed
