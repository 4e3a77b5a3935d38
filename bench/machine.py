"""Describe the machine of a measurement, without which the figures mean nothing."""

import gzip
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.certbot import find_certbot
from stand.pebble import find_pebble_program
from stand.processes import find_program

_NUMBER: Final = re.compile(r"\d+(\.\d+)+")


def describe() -> dict[str, Any]:
    """Return size and load of the machine, the versions of the programs, and the time."""
    memory_kib = int(_line(Path("/proc/meminfo"), "MemTotal").split()[0])
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _line(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kib / 1024**2, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {
            "Wellkeeper": version("wellkeeper"),
            "Python": platform.python_version(),
            "aiohttp": version("aiohttp"),
            "nginx": _version([find_program("nginx"), "-v"]),
            "Pebble": _pebble_version(Path(find_pebble_program("pebble"))),
            "certbot": _version([find_certbot(), "--version"]),
            "wrk": _version([find_program("wrk"), "-v"]),
        },
    }


def to_text(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['at']}, {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}; load before: {machine['load_before']}. {versions}."
    )


def _line(file: Path, name: str) -> str:
    """Return the value of the first line with this name, or an empty string."""
    lines = (line.partition(":") for line in file.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _pebble_version(program: Path) -> str:
    """Return the version of Debian's package; the program itself prints "dev"."""
    changelog = program.parent.parent / "share/doc/pebble/changelog.Debian.gz"
    if not changelog.exists():
        return "?"
    found = _NUMBER.search(gzip.decompress(changelog.read_bytes()).decode())
    return found[0] if found else "?"


def _version(argv: Sequence[str]) -> str:
    """Return the first version in the output; some programs print it on standard error or with a bad status."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = _NUMBER.search(done.stdout)
    return found[0] if found else "?"
