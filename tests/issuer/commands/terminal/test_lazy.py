"""Lazy loading of commands."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.issuer.commands.conftest import Program
from wellkeeper_issuer.__main__ import cli

# Packages that a command without work to do must not load.
HEAVY = ("acme", "aiohttp", "cryptography", "josepy", "requests", "rich", "tomlkit")


def test_every_listed_command_exists() -> None:
    context = click.Context(cli)
    names = cli.list_commands(context)
    assert [name for name in names if getattr(cli.get_command(context, name), "name", None) != name] == []


def test_unknown_command_is_not_found() -> None:
    assert cli.get_command(click.Context(cli), "renewal") is None


@pytest.mark.parametrize("places", ["before", "after"])
def test_config_option_is_accepted_before_and_after_the_command(program: Program, folder: Path, places: str) -> None:
    program.configure("a.example")
    elsewhere = folder / "elsewhere.toml"
    program.config.rename(elsewhere)
    flag = f"--config={elsewhere}"
    finished = program.run(*([flag, "status"] if places == "before" else ["status", flag]))
    assert "missing  a.example" in finished.out


def test_config_option_after_the_command_wins(program: Program, folder: Path) -> None:
    program.configure("a.example")
    finished = program.run(f"--config={folder / 'none.toml'}", "account", "show", f"--config={folder / 'other.toml'}")
    assert f"{folder / 'other.toml'} does not exist" in finished.err


@pytest.mark.parametrize(
    "group",
    [[], ["certificate"], ["config"], ["account"], ["key"], ["publisher"], ["import"], ["notify"]],
)
def test_help_line_of_each_command_is_not_cut_off(
    program: Program, group: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    usage, *lines = program.run(*group, "--help").out.splitlines()
    assert "Usage" in usage
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == []


def test_help_loads_no_command() -> None:
    code = (
        "import sys; from wellkeeper_issuer.__main__ import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "print(sorted(one for one in sys.modules if one.startswith('wellkeeper_issuer.commands.')), file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stderr
    loaded = [
        "wellkeeper_issuer.commands.terminal",
        "wellkeeper_issuer.commands.terminal.errors",
        "wellkeeper_issuer.commands.terminal.interrupts",
        "wellkeeper_issuer.commands.terminal.json_output",
        "wellkeeper_issuer.commands.terminal.lazy",
        "wellkeeper_issuer.commands.terminal.options",
        "wellkeeper_issuer.commands.terminal.progress",
    ]
    assert said == f"{loaded}\n"


@pytest.mark.parametrize(
    ("mistyped", "words"),
    [(["renwe"], "No such command 'renwe'. Did you mean renew?"), (["certificate", "ad"], "Did you mean add?")],
)
def test_similar_command_is_suggested_for_a_mistyped_one(program: Program, mistyped: list[str], words: str) -> None:
    finished = program.run(*mistyped)
    assert finished.exit_code == 2
    assert words in finished.err


def test_command_renew_does_not_load_heavy_libraries() -> None:
    imported = "import sys, wellkeeper_issuer.__main__, wellkeeper_issuer.commands.renew"
    code = f"{imported}; print([one for one in {HEAVY} if one in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert said == "[]\n"
