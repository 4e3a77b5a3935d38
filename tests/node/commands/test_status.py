"""wellkeeper-node status: the last report, and what fails now."""

import asyncio
import time
from pathlib import Path

from click.testing import CliRunner

from wellkeeper_node.agent.report import Report
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.commands.status import status


def test_relay_and_engine_that_are_away_are_named_as_such(folder: Path) -> None:
    config, state = folder / "node.toml", folder / "state"
    folders = f'state_dir = "{state}"\ncertificates_dir = "{folder}/certificates"'
    config.write_text(f'name = "web2"\nrelays = ["10.0.0.1:8404"]\n{folders}\n')
    state.mkdir(mode=0o700)
    away = {"10.0.0.1:8404": "no answer", "redis://10.0.0.2:6379": "frozen", "10.0.0.3:8404": ""}
    away["valkeys+sentinel://10.0.0.4/fleet"] = "gone"
    asyncio.run(StatusFile("web2", state).write(Shown(Report("1.2.3", time.time()), away)))
    finished = CliRunner().invoke(status, ["--config", str(config)])
    assert finished.exit_code == 1, finished.output
    assert "relay 10.0.0.1:8404: no answer" in finished.output
    assert "engine redis://10.0.0.2:6379: frozen" in finished.output
    assert "engine valkeys+sentinel://10.0.0.4/fleet: gone" in finished.output
    assert "10.0.0.3:8404:" not in finished.output
