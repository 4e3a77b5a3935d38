"""doctor on a real host: all is fine, one thing is broken, in a terminal, and interrupted."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from stand.issuer import Finished
from stand.processes import PROGRAMS, search_path
from tests.integration.silent_dns import until_asked, without_dns
from tests.integration.test_rehearse import everything_in
from tests.integration.test_terminal import shown_lines, type_and_watch
from tests.json_docs import assert_documented
from tests.unprivileged import UNPRIVILEGED_ID
from wellkeeper_node.process import run

pytestmark = pytest.mark.integration

NAME = "www.example.org"
# Ctrl-C is felt at once; a busy machine may take longer.
AT_ONCE_SECONDS = 20.0


@asynccontextmanager
async def healthy_host(folder: Path) -> AsyncIterator[Host]:
    """Run a host with a daemon that has obtained its certificate."""
    async with running_host(folder, {"web": [NAME]}) as host, IssuerDaemon(host.issuer) as daemon:
        await daemon.until(certificate="web", stage="verify", event="finished")
        yield host


def online(host: Host) -> dict[str, str]:
    """Return the environment in which doctor asks the stand's DNS server."""
    return {"WELLKEEPER_OFFLINE": "0", "WELLKEEPER_DNS_SERVER": host.dns.address}


async def doctor(host: Host, *arguments: str) -> Finished:
    """Run doctor, and check that it changed nothing."""
    folders = (host.issuer.config_path.parent, host.issuer.certificates_dir, host.issuer.state_dir / "accounts")
    before = [everything_in(one) for one in folders]
    finished = await host.issuer.run("doctor", *arguments, environment=online(host))
    assert [everything_in(one) for one in folders] == before
    assert "Traceback" not in finished.err, finished
    return finished


def failing(finished: Finished) -> list[dict[str, Any]]:
    return [one for one in finished.json()["findings"] if one["verdict"] == "fail"]


async def test_healthy_host_has_no_failure(folder: Path) -> None:
    async with healthy_host(folder) as host:
        finished = await doctor(host, "--json")
        assert_documented("doctor", finished.json())
        assert failing(finished) == []
        assert finished.exit_code == 0
        text = await doctor(host, "web", "-v")
        assert text.out.count("\nok ") > 5
        assert (await doctor(host, "-q")).out == ""


async def test_one_broken_thing_is_named_and_the_rest_is_fine(folder: Path) -> None:
    async with healthy_host(folder) as host:
        await host.responder.process.stop()
        finished = await doctor(host, "--json")
        assert finished.exit_code == 1
        found = failing(finished)
        assert found
        assert all("responder" in f"{one['check']} {one['cause']}" for one in found), found


@pytest.mark.root
async def test_other_users_are_asked_for_sudo_and_get_no_false_alarm(folder: Path) -> None:
    async with healthy_host(folder) as host:
        other = ("setpriv", "--reuid", str(UNPRIVILEGED_ID), "--regid", str(UNPRIVILEGED_ID), "--clear-groups")
        environment = online(host) | {"PATH": search_path(), "WELLKEEPER_CONFIG": str(host.issuer.config_path)}
        finished = await run([*other, str(PROGRAMS / "wellkeeper"), "doctor"], 60, environment=environment)
    assert finished.exit_code == 0, finished
    assert "only root may do this; run it with sudo (" in finished.output
    assert "Traceback" not in finished.output


async def test_findings_fit_the_terminal_and_progress_is_shown(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        session = await type_and_watch(host.issuer, "doctor", "-v", columns=60, environment=online(host))
        lines = shown_lines(session)
        assert [line for line in lines if len(line) > 60] == []
        assert any("/" in line and "…" in line for line in lines)
        assert "\x1b[32mok\x1b[0m" in session.screen
        plain = await type_and_watch(host.issuer, "doctor", environment=online(host) | {"TERM": "dumb"})
        assert "\x1b" not in plain.screen


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupt_ends_it_at_once_while_dns_is_silent(
    folder: Path, number: signal.Signals, exit_code: int
) -> None:
    async with (
        running_host(folder, {"web": [NAME]}) as host,
        without_dns(folder, host.issuer.config_path, "doctor") as process,
    ):
        await until_asked(process)
        process.send_signal(number)
        async with asyncio.timeout(AT_ONCE_SECONDS):
            _, errors = await process.communicate()
    assert process.returncode == exit_code
    assert errors.decode().splitlines()[-1] == "wellkeeper: interrupted"
