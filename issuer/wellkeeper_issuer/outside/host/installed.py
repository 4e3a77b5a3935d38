"""Recognize that the installed program has changed since a process started."""

import hashlib
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("wellkeeper_client", "wellkeeper_issuer", "wellkeeper_node")


def fingerprint() -> str:
    """Return a digest of Python's version, the names and versions of the libraries, and the dates of our files."""
    parts = [sys.version, *sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))]
    for package in _PACKAGES:
        for path in sorted(Path(str(files(package))).rglob("*.py")):
            found = path.stat()
            parts.append(f"{path} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
