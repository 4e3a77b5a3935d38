"""scripts/package: its refusals. tests/systemd installs what it builds."""

import subprocess
from pathlib import Path

import pytest

from stand.processes import PROJECT

USAGE = "usage: scripts/package [--docs | --release RELEASE] DIRECTORY"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), f"no directory given; {USAGE}"),
        (("one", "two"), f"more than one directory; {USAGE}"),
        (("--force", "one"), f"unknown option --force; {USAGE}"),
        (("--release", "sid", "one"), "--release needs bookworm or trixie"),
        (("--release",), "--release needs bookworm or trixie"),
        (("--docs", "--release", "trixie", "one"), "--docs and --release cannot be combined"),
    ],
    ids=["nothing", "two directories", "unknown option", "unknown release", "no release", "docs and release"],
)
def test_invalid_arguments_are_refused_and_nothing_is_written(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    script = PROJECT / "scripts/package"
    finished = subprocess.run([script, *arguments], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (finished.returncode, finished.stdout, finished.stderr) == (1, "", f"package: {message}\n")
    assert list(tmp_path.iterdir()) == []
