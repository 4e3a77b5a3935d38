"""The digest of the installed program."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from stand.processes import PROJECT

PACKAGES = ("client/wellkeeper_client", "node/wellkeeper_node", "issuer/wellkeeper_issuer")
PRINT = "from wellkeeper_issuer.outside.host.installed import fingerprint; print(fingerprint())"


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    """Return the libraries' directory of an environment with copies of our packages."""
    venv.create(tmp_path / "venv", with_pip=False)
    found = next(tmp_path.glob("venv/lib/python*/site-packages"))
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, found / Path(package).name)
    return found


def fingerprint(site_packages: Path) -> str:
    python = site_packages.parents[2] / "bin/python"
    return subprocess.run([python, "-B", "-c", PRINT], check=True, capture_output=True, text=True).stdout


def test_digest_changes_with_our_files_and_with_the_libraries(site_packages: Path) -> None:
    found = [fingerprint(site_packages)]
    assert fingerprint(site_packages) == found[0]
    (site_packages / "wellkeeper_node/clock.py").touch()
    found.append(fingerprint(site_packages))
    (site_packages / "aiohttp-4.0.0.dist-info").mkdir()
    found.append(fingerprint(site_packages))
    assert len(set(found)) == 3


def test_digest_ignores_compiled_files(site_packages: Path) -> None:
    before = fingerprint(site_packages)
    subprocess.run([sys.executable, "-m", "compileall", "-q", site_packages / "wellkeeper_node"], check=True)
    assert fingerprint(site_packages) == before
