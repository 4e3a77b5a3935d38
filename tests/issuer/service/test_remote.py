"""Commands that send their work to a daemon over its real socket; reload and status messages."""

import asyncio
from io import StringIO
from pathlib import Path

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.workers import WorkerFactory
from wellkeeper_issuer.commands.reload import describe
from wellkeeper_issuer.commands.terminal.progress import JsonProgress, LineProgress
from wellkeeper_issuer.errors import DaemonError, SettingsError
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, read_settings


@pytest.fixture
def settings(factory: WorkerFactory) -> Settings:
    return read_settings(factory.path)


async def test_without_a_daemon_commands_do_the_work_themselves(settings: Settings) -> None:
    progress = LineProgress(StringIO())
    assert await remote.renew(settings, [], Mode.SCHEDULED, progress) is None
    assert await remote.ask(settings, {"command": "status"}) is None


async def test_request_that_needs_a_daemon_reports_that_none_runs(settings: Settings) -> None:
    with pytest.raises(
        DaemonError,
        match=r"the daemon is not running: no process answers at .*/daemon\.sock\. .*The daemon reads",
    ):
        await remote.demand(settings, {"command": "reload"})


async def test_directory_too_deep_for_a_socket_means_no_daemon(settings: Settings) -> None:
    far = settings.model_copy(update={"state_dir": Path("/" + "a" * 200)})
    assert await remote.ask(far, {"command": "status"}) is None


async def test_renewal_through_the_daemon_is_reported_as_without_one(daemon: WorkerFactory, settings: Settings) -> None:
    out = StringIO()
    reports = await remote.renew(settings, ["b.example"], Mode.FORCED, LineProgress(out))
    assert reports is not None
    assert [(one.lineage, one.outcome) for one in reports] == [("b.example", Outcome.SERVED)]
    assert daemon.workers[0].modes == [Mode.FORCED]
    assert out.getvalue().partition(" ")[2] == "b.example: order      1.50 s  done\n"


async def test_every_event_reaches_the_command(daemon: WorkerFactory, settings: Settings) -> None:
    out = StringIO()
    worker = daemon.workers[0]
    worker.is_free.clear()
    asked = asyncio.create_task(remote.renew(settings, ["a.example"], Mode.RETRY, JsonProgress(out)))
    await worker.is_asked.wait()
    daemon.broadcast.note("a.example", "due")
    daemon.broadcast.failed("a.example", "publish", 0.5, "no")
    worker.is_free.set()
    await asked
    reported = [line.split(", ", 2)[2] for line in out.getvalue().splitlines()]
    assert reported == [
        '"certificate": "a.example", "stage": "order", "event": "started"}',
        '"certificate": "a.example", "event": "note", "detail": "due"}',
        '"certificate": "a.example", "stage": "publish", "event": "failed", "seconds": 0.5, "detail": "no"}',
        '"certificate": "a.example", "stage": "order", "event": "finished", "seconds": 1.5, "detail": "done"}',
    ]


async def test_error_of_the_daemon_is_raised(daemon: WorkerFactory, settings: Settings) -> None:
    daemon.write("a.example", more="bogus = 1")
    with pytest.raises(SettingsError, match="unknown key 'bogus'"):
        await remote.demand(settings, {"command": "reload"})


async def test_staging_is_refused_while_a_daemon_runs(daemon: WorkerFactory, settings: Settings) -> None:
    with pytest.raises(DaemonError, match="Run 'wellkeeper rehearse' for a dry run"):
        await remote.renew(settings, [], Mode.RETRY, LineProgress(StringIO()), is_staging=True)
    assert daemon.workers[0].modes == []


async def test_interrupting_the_command_does_not_stop_the_daemons_work(
    daemon: WorkerFactory, settings: Settings
) -> None:
    out, worker = StringIO(), daemon.workers[0]
    worker.is_free.clear()
    asked = asyncio.create_task(remote.renew(settings, [], Mode.SCHEDULED, LineProgress(out)))
    await worker.is_asked.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert "daemon: continues in the background; 'wellkeeper status' shows the result" in out.getvalue()
    assert daemon.broadcast.under_way == {"a.example": "order", "b.example": "order"}


def test_failed_reload_says_that_the_daemon_keeps_its_settings(program: Program) -> None:
    program.configure("a.example", more="bogus = 1")
    finished = program.run("reload")
    assert finished.exit_code == 2
    assert "unknown key 'bogus'" in finished.err
    assert finished.err.endswith(
        "\n  A running daemon keeps its current settings. Fix these, then run 'wellkeeper reload' again.\n"
    )


def test_reload_says_what_changed() -> None:
    answer = {"path": "/etc/issuer.toml", "count": 3, "new": ["a.example", "b.example"], "gone": []}
    assert describe(answer) == "read /etc/issuer.toml: 3 certificates; 2 new: a.example, b.example"
