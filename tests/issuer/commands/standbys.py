"""A node that becomes a standby, for tests."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.issuer.commands.backups import make_backup
from tests.issuer.commands.conftest import Finished, Program
from tests.issuer.commands.test_node import LINE
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_node.start import CONFIG_VARIABLE

FLEET: Final = "[fleet]\nlisten = ['127.0.0.1:8404']"
NODE: Final = "web2"


class StandbyHost:
    """A backup of an issuer with a fleet, and a node with its own trust file that has nothing of it yet."""

    def __init__(self, program: Program, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program, self.config, self.node_dir = program, folder / "node.toml", folder / "node"
        self.node_dir.mkdir()
        self.write_node()
        monkeypatch.setenv(CONFIG_VARIABLE, str(self.config))
        self.backup = make_backup(program, folder)
        self.trust = program.config.with_name("trust.toml")
        self.live = self._live()
        FleetKeys(program.state_dir).make()
        self.back_up(FLEET, "node", "add", NODE, LINE)

    def back_up(self, table: str, *command: str) -> None:
        """Make the backup of an issuer with this table and after this command, and lose all but the node's files."""
        config, program = self.program.config, self.program
        config.write_text(f"{config.read_text().partition(FLEET)[0]}\n{table}\n")
        if command:
            assert program.run(*command).exit_code == 0
        self.backup.make()
        shutil.rmtree(program.state_dir)
        shutil.rmtree(config.parent)
        config.parent.mkdir()
        self.trust.write_text("of the node")

    def write_node(self, more: str = "") -> None:
        lines = [f"name = '{NODE}'", "relays = ['127.0.0.1:1']", f"state_dir = '{self.node_dir}'"]
        lines += [f"certificates_dir = '{self.program.certificates_dir}'"]
        self.config.write_text(more or "\n".join(lines))

    def restore(self, *options: str) -> Finished:
        return self.backup.restore("--standby", *options)

    def _live(self) -> dict[str, str]:
        return {one.name: str(one.readlink()) for one in (self.program.certificates_dir / "live").iterdir()}

    def is_untouched(self) -> bool:
        """Return whether the node has its trust file and certificates."""
        return self.trust.read_text() == "of the node" and self._live() == self.live

    def mark(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.program.state_dir / "standby.json").read_bytes())
        return found

    def nodes(self) -> list[str]:
        with closing(sqlite3.connect(self.program.state_dir / "state.db")) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM fleet_nodes ORDER BY name")]
