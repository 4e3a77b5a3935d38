"""wellkeeper-node status: the last report, and what fails now."""

import asyncio
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stand.processes import PROGRAMS
from tests.lost import sink
from wellkeeper_node.__main__ import cli
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.commands.status import status


def shown(folder: Path, report: Report, relays: Mapping[str, str]) -> Result:
    """Run the command on a node whose agent has shown this."""
    config, state = folder / "node.toml", folder / "state"
    folders = f'state_dir = "{state}"\ncertificates_dir = "{folder}/certificates"'
    config.write_text(f'name = "web2"\nrelays = ["10.0.0.1:8404"]\n{folders}\n')
    state.mkdir(mode=0o700)
    asyncio.run(StatusFile("web2", state).write(Shown(report, relays)))
    finished = CliRunner().invoke(status, ["--config", str(config)])
    assert finished.exit_code == 1, finished.output
    return finished


def test_what_clients_get_instead_of_the_newest_version_is_named(folder: Path) -> None:
    other = Instead(Got.OLDER, 1_700_000_000, 2, "0a1b", 1_690_000_000, 1_700_100_000)
    certificates = {
        "web": CertificateReport(3, "ab", CertificateState.REFUSED, "nginx: [emerg] no", "Fix it.", other),
        "mail": CertificateReport(3, "ab", CertificateState.FAILED, "no answer", "", Instead(Got.NOTHING, 0)),
    }
    output = shown(folder, Report("1.2.3", time.time(), certificates=certificates), {}).output
    assert (
        "web: refused: nginx: [emerg] no Fix it. (since 2023-11-14 22:13 UTC, clients get version 2, serial 0a1b, valid"
        " until 2023-11-16 02:00 UTC)"
    ) in output
    assert "mail: failed: no answer (since 1970-01-01 00:00 UTC, clients get no certificate)" in output


def test_relay_and_engine_that_are_away_are_named_as_such(folder: Path) -> None:
    away = {"10.0.0.1:8404": "no answer", "redis://10.0.0.2:6379": "frozen", "10.0.0.3:8404": ""}
    away["valkeys+sentinel://10.0.0.4/fleet"] = "gone"
    finished = shown(folder, Report("1.2.3", time.time()), away)
    assert "relay 10.0.0.1:8404: no answer" in finished.output
    assert "engine redis://10.0.0.2:6379: frozen" in finished.output
    assert "engine valkeys+sentinel://10.0.0.4/fleet: gone" in finished.output
    assert "10.0.0.3:8404:" not in finished.output


def test_help_line_of_each_command_is_not_cut_off() -> None:
    lines = CliRunner().invoke(cli, ["--help"], terminal_width=80).output.splitlines()
    assert "Usage" in lines[0]
    assert [line for line in lines[1:] if line.endswith("...")] == []


@pytest.mark.parametrize("arguments", [["--prometheus"], ["--help"]])
def test_report_that_cannot_be_written_is_a_failure(folder: Path, arguments: list[str]) -> None:
    config = folder / "node.toml"
    config.write_text(f'name = "web2"\nrelays = ["10.0.0.1:8404"]\nstate_dir = "{folder}"\n')
    command = [str(PROGRAMS / "wellkeeper-node"), "status", "--config", str(config), *arguments]
    with sink("full") as lost:
        finished = subprocess.run(command, stdout=lost, stderr=subprocess.PIPE, check=False, text=True)
    assert finished.returncode == 1
    assert finished.stderr == "wellkeeper-node: cannot write to standard output: No space left on device\n"
