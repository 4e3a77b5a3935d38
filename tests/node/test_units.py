"""Units are enabled and started with systemctl."""

import os
from pathlib import Path
from typing import Final

import pytest

from wellkeeper_node import units

CONFIG: Final = Path("/etc/wellkeeper/node.toml")


class Systemctl:
    """A program `systemctl` that records its arguments."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = folder / "calls"
        self.script("exit 0")

    def script(self, line: str) -> None:
        program = self._folder / "systemctl"
        program.write_text(f'#!/bin/sh\necho "$*" >>{self._calls}\n{line}\n')
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Systemctl(tmp_path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("exit 0", ""),
        ("echo no such unit; exit 1", "no such unit"),
        ("echo Failed to enable unit: Unit a.service does not exist; exit 1", units.NOT_INSTALLED),
        ("exit 5", "exit 5"),
    ],
)
async def test_unit_is_enabled_and_started(systemctl: Systemctl, line: str, why: str) -> None:
    systemctl.script(line)
    assert await units.start("a.service") == why
    assert systemctl.calls == ["enable --now a.service"]


async def test_systemctl_that_is_missing_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in await units.start("a.service")


def test_unit_whose_settings_changed_is_restarted(systemctl: Systemctl) -> None:
    started = units.start_all(("a.service", "b.service"), CONFIG, CONFIG, ("b.service",), has_systemd=True)
    assert started == {"a.service": "", "b.service": ""}
    assert systemctl.calls == ["enable --now a.service", "enable b.service", "restart b.service"]
    systemctl.script("exit 3")
    assert units.start_all(("b.service",), CONFIG, CONFIG, ("b.service",), has_systemd=True) == {"b.service": "exit 3"}
    assert systemctl.calls[3:] == ["enable b.service"]


def test_unit_that_reads_other_settings_is_not_started(systemctl: Systemctl) -> None:
    started = units.start_all(("a.service",), Path("/srv/node.toml"), CONFIG, has_systemd=True)
    why = f"it reads {CONFIG}; start it with --config /srv/node.toml"
    assert list(units.to_lines(started)) == [f"note   a.service was not started: {why}"]
    assert systemctl.calls == []


def test_host_without_systemd_gets_a_note(systemctl: Systemctl) -> None:
    (why,) = units.start_all(("a.service",), CONFIG, CONFIG, has_systemd=False).values()
    assert why == "systemd does not run here; start it with your service manager"
    assert systemctl.calls == []
    assert list(units.to_lines({"a.service": ""})) == ["started a.service"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("exit 0", "stopped a.service"),
        ("echo access denied; exit 1", "note  a.service was not stopped: access denied"),
        ("echo Failed to disable unit: Unit file a.service does not exist.; exit 1", ""),
    ],
)
def test_unit_is_stopped_and_disabled(systemctl: Systemctl, line: str, said: str) -> None:
    systemctl.script(line)
    assert units.stop("a.service", CONFIG, CONFIG, has_systemd=True) == said
    assert systemctl.calls == ["disable --now a.service"]


def test_only_a_unit_of_these_settings_is_stopped(systemctl: Systemctl) -> None:
    assert units.stop("a.service", Path("/srv/node.toml"), CONFIG, has_systemd=True) == ""
    assert units.stop("a.service", CONFIG, CONFIG, has_systemd=False) == ""
    assert systemctl.calls == []
