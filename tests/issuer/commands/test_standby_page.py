"""docs/standby.md: the runbook, run as written."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stand.processes import PROGRAMS
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import FLEET, StandbyHost
from tests.issuer.commands.test_promote import Node
from tests.systemd.pages import Page, configuration

_AROUND = """\
set -e -o pipefail
sudo() { "$@"; }
systemctl() { echo "systemctl $*"; }
"""


def unit_commands(folder: Path, state_dir: Path) -> str:
    """Return what the unit that restores newer backups runs, with the files in this folder."""
    lines = configuration("docs/standby.md", "ini", "ExecCondition").splitlines()
    commands = "\n".join(line.partition("=")[2] for line in lines if line.startswith("Exec"))
    for path, here in (("/var/lib/wellkeeper/issuer", str(state_dir)), ("/usr/local/bin/", ""), ("/root", str(folder))):
        commands = commands.replace(path, here)
    return commands


@pytest.mark.integration
def test_commands_of_the_page_work(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = StandbyHost(program, tmp_path, monkeypatch)
    host.restore()
    (program.state_dir / "standby.json").unlink()
    (program.config.with_suffix(".d") / "fleet.toml").write_text(FLEET)
    host.back_up("")
    shutil.copy(host.backup.file, tmp_path / "wellkeeper.age")
    shutil.copy(host.backup.identity, tmp_path / "wellkeeper-backup.key")
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}

    def shell(block: str) -> str:
        command = ["bash", "-c", f"{_AROUND}{block}"]
        found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found
        return found.stdout

    page = Page("docs/standby.md")
    assert "this host is a standby for the issuer on" in shell(page.next("--standby"))
    Node(host)
    assert "this host is a standby for the issuer on" in shell(page.next("enable --now wellkeeper"))
    shell(unit_commands(tmp_path, program.state_dir))
    assert "relay     10.0.0.1:8404: refused" in shell(page.next("promote --dry-run"))
    assert "this host is the issuer now" in shell(page.next("fleet listen"))
    assert not host.config.exists()
    assert "10.0.0.2:8404" in (program.config.with_name("relay.env")).read_text()
    started = shell(page.next("status --nodes"))
    assert started.splitlines() == [
        "systemctl enable --now wellkeeper-responder wellkeeper",
        "no other node has joined",
    ]
    assert "wellkeeper-relay" in shell(page.next("disable --now"))
    page.end()
