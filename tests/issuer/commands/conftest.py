"""Fixtures that run commands in this process, as the program does."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wellkeeper_issuer.__main__ import main
from wellkeeper_issuer.location import PATH_VARIABLE
from wellkeeper_issuer.outside.keys.accounts import AccountFolder

UNREACHABLE_CA = "https://127.0.0.1:1/directory"


@dataclass(frozen=True, slots=True)
class Finished:
    exit_code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the command printed
        return json.loads(self.out)


class Program:
    """The program with its own settings in `config`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.config = folder / "etc/issuer.toml"
        self.state_dir = folder / "issuer"
        self.certificates_dir = folder / "certificates"
        self._capsys = capsys

    def run(self, *arguments: str) -> Finished:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = self._capsys.readouterr()
        return Finished(int(ended.value.code or 0), out, err)

    def configure(self, *names: str, more: str = "") -> None:
        """Configure one certificate per name, from an unreachable CA."""
        lines = [f"ca = '{UNREACHABLE_CA}'", f"state_dir = '{self.state_dir}'"]
        lines += [f"certificates_dir = '{self.certificates_dir}'", more]
        lines += [f"[[certificates]]\nidentifiers = ['{name}']" for name in names]
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text("\n".join(lines))

    def hide_last(self) -> None:
        """Say that nothing on this host serves the last certificate."""
        self.config.write_text(f"{self.config.read_text()}\nhttps_addresses = []")

    def make_keys(self) -> AccountFolder:
        folder = AccountFolder(self.state_dir, (UNREACHABLE_CA,))
        folder.make_keys()
        return folder


@pytest.fixture
def program(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    made = Program(folder, capsys)
    monkeypatch.setenv(PATH_VARIABLE, str(made.config))
    monkeypatch.setenv("WELLKEEPER_OFFLINE", "1")  # names in tests mean nothing to this host's DNS servers
    return made


@pytest.fixture
def nginx_table(folder: Path) -> Iterator[str]:
    """Yield an `[nginx]` for the settings whose master runs: a process with its title."""
    title, pid_file = "nginx: master process nginx", folder / "nginx.pid"
    with subprocess.Popen([title, "600"], executable="/bin/sleep") as running:
        pid_file.write_text(str(running.pid))
        yield f"nginx = {{ command = ['false'], reload_command = ['false'], pid_file = '{pid_file}' }}"
        running.kill()
