"""Other distributions for machines: a package of an earlier version, and the sources."""

import asyncio
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

from stand.processes import PROJECT
from tests.integration.distributions import run

OLDER: Final = "0.0.1"


async def older(package: Path, folder: Path) -> Path:
    """Return a package with programs of a lower version, built from changed sources, and with another snippet."""
    return await asyncio.to_thread(_older, package, folder)


def _older(package: Path, folder: Path) -> Path:
    run("dpkg-deb", "--raw-extract", package, folder, cwd=package.parent)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {OLDER}-1", control.read_text(), flags=re.MULTILINE))
    snippet = folder / "usr/share/wellkeeper/snippets/upstream.conf"
    snippet.write_text(f"# older\n{snippet.read_text()}")
    libraries = next(folder.glob("opt/wellkeeper/lib/python*/site-packages"))
    for path in libraries.glob("wellkeeper[_-]*"):
        shutil.rmtree(path)
    with zipfile.ZipFile(_older_wheel(folder.with_suffix(".source"))) as wheel:
        wheel.extractall(libraries)  # noqa: S202 - our own
    built = folder.with_suffix(".deb")
    run("dpkg-deb", "-Znone", "--root-owner-group", "--build", folder, built, cwd=package.parent)
    return built


def _older_wheel(folder: Path) -> Path:
    """Build a wheel from this checkout with a lower version."""
    folder.mkdir()
    with tarfile.open(_build("--sdist", PROJECT, folder)) as archive:
        archive.extractall(folder, filter="data")
    project = next(folder.glob("*/pyproject.toml"))
    text, count = re.subn(r'^version = "[^"]*"', f'version = "{OLDER}"', project.read_text(), flags=re.MULTILINE)
    assert count == 1, project
    project.write_text(text)
    return _build("--wheel", project.parent, folder)


def source_archive(folder: Path) -> bytes:
    """Return the source distribution of this checkout, a .tar.gz file."""
    return _build("--sdist", PROJECT, folder).read_bytes()


def _build(kind: str, source: Path, folder: Path) -> Path:
    run(sys.executable, "-m", "build", kind, "--no-isolation", "--outdir", folder, source, cwd=folder)
    return next(folder.glob("*.whl" if kind == "--wheel" else "*.tar.gz"))
