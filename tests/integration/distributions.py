"""Distributions of this checkout, and fresh environments to install them in."""

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path
from typing import Final

from stand.processes import PROJECT

VERSION: Final = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]


def run(*command: str | Path, cwd: Path) -> str:
    """Return the output of a command; raise an error with the output when it fails.

    The coverage of copies of this checkout is not measured.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
    finished = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


class Environment:
    """A fresh virtual environment that installs the versions of constraints.txt."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder)
        self.programs = folder / "bin"
        self._folder = folder

    def pip(self, *arguments: str | Path) -> str:
        """Run the pip of this environment for that one."""
        pip = (sys.executable, "-m", "pip", "--python", self.programs / "python", "--disable-pip-version-check")
        return run(*pip, *arguments, cwd=self._folder)

    def install(self, *what: str | Path) -> None:
        self.pip("install", "--quiet", "--no-compile", "--constraint", PROJECT / "constraints.txt", *what)

    def run(self, program: str, *arguments: str | Path) -> str:
        return run(self.programs / program, *arguments, cwd=self._folder)

    def fails(self, program: str, *arguments: str) -> str:
        """Return the standard error of a program that must fail."""
        finished = subprocess.run(
            [self.programs / program, *arguments], cwd=self._folder, check=False, capture_output=True, text=True
        )
        assert finished.returncode != 0
        return finished.stderr


def build(folder: Path, source: Path = PROJECT) -> None:
    """Build the sdist, and the wheel from it, into the directory."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source, cwd=folder)


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack the sdist and return its top directory."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"wellkeeper-{VERSION}"
