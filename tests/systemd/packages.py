"""Other distributions for machines: a package of an earlier version, made from the present one, and the sources."""

import asyncio
import re
import sys
from pathlib import Path

from stand.processes import PROJECT
from tests.integration.distributions import run

_VERSION = "0.0.1-1"


async def older(package: Path, folder: Path) -> Path:
    """Return a package with a lower version, an older library and another snippet."""
    return await asyncio.to_thread(_older, package, folder)


def _older(package: Path, folder: Path) -> Path:
    run("dpkg-deb", "--raw-extract", package, folder, cwd=package.parent)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {_VERSION}", control.read_text(), flags=re.MULTILINE))
    snippet = folder / "usr/share/wellkeeper/snippets/upstream.conf"
    snippet.write_text(f"# older\n{snippet.read_text()}")
    next(folder.glob("opt/wellkeeper/lib/python*/site-packages/wellkeeper_node/clock.py")).touch()
    built = folder.with_suffix(".deb")
    run("dpkg-deb", "-Znone", "--root-owner-group", "--build", folder, built, cwd=package.parent)
    return built


def source_archive(folder: Path) -> bytes:
    """Return the source distribution of this checkout, a .tar.gz file."""
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, PROJECT, cwd=folder)
    return next(folder.glob("*.tar.gz")).read_bytes()
