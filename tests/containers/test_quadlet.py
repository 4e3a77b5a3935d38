"""examples/quadlet: the units that podman's generator of Debian 13 makes of it."""

import re
from pathlib import Path

import pytest

from stand.commands import run
from stand.processes import PROJECT

pytestmark = [pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)]

EXAMPLE = PROJECT / "examples/quadlet"
GENERATOR = PROJECT / ".cache/podman-trixie/usr/libexec/podman/quadlet"


@pytest.fixture
async def units() -> dict[str, str]:
    """Return the generated units by their names."""
    finished = await run(str(GENERATOR), "-dryrun", environment={"QUADLET_UNIT_DIRS": str(EXAMPLE)})
    assert finished.exit_code == 0, finished.err
    assert [line for line in finished.err.splitlines() if "Loading source unit" not in line] == []
    parts = re.split(r"^---(\S+)---\n", finished.out, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_file_becomes_a_unit(units: dict[str, str]) -> None:
    sources = [match[1] for unit in units.values() if (match := re.search(r"^SourcePath=(.*)$", unit, re.MULTILINE))]
    files = [path for path in EXAMPLE.iterdir() if path.suffix in {".container", ".volume", ".network"}]
    assert sorted(map(Path, sources)) == sorted(files)


def test_containers_have_no_rights(units: dict[str, str]) -> None:
    commands = [line for unit in units.values() for line in unit.splitlines() if "podman run" in line]
    assert len(commands) == 4
    for command in commands:
        for option in ("--read-only", "--cap-drop all", "--security-opt=no-new-privileges"):
            assert option in command
        assert "podman.sock" not in command


def test_programs_start_after_what_they_need_is_prepared(units: dict[str, str]) -> None:
    for name in ("nginx", "wellkeeper-responder", "wellkeeper-issuer"):
        lines = units[f"{name}.service"].splitlines()
        needed = "Wants" if name == "nginx" else "Requires"
        assert {f"{needed}=wellkeeper-prepare.service", "After=wellkeeper-prepare.service", "Restart=always"} <= {
            *lines
        }


@pytest.mark.parametrize("name", ["wellkeeper.env", "conf.d/site.conf"])
def test_site_is_that_of_compose(name: str) -> None:
    assert (EXAMPLE / name).read_text() == (PROJECT / "examples/compose" / name).read_text()
