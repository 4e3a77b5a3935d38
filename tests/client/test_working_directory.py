"""A working directory that was deleted, and options of programs with relative paths there."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from wellkeeper_client import working_directory
from wellkeeper_node.__main__ import cli as node
from wellkeeper_responder.__main__ import command as responder

MESSAGE = "cannot use a relative path: the working directory was deleted. Change to another directory"


@pytest.fixture
def deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "deleted"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        folder.rmdir()
        yield tmp_path


@pytest.mark.usefixtures("deleted")
def test_deleted_directory_is_recognized() -> None:
    assert working_directory.is_deleted()


def test_directory_that_exists_is_not_deleted() -> None:
    assert not working_directory.is_deleted()


@pytest.mark.usefixtures("deleted")
@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (node, ["init", "--state-dir", "state"]),
        (node, ["status", "--config", "node.toml"]),
        (responder, ["--trust", "trust.toml"]),
    ],
    ids=["state directory", "settings", "trust file"],
)
def test_relative_path_is_refused_there(program: click.Command, arguments: list[str]) -> None:
    finished = CliRunner().invoke(program, arguments)
    assert finished.exit_code == 2, finished.output
    assert MESSAGE in finished.output


def test_whole_path_is_accepted_there(deleted: Path) -> None:
    finished = CliRunner().invoke(node, ["init", "--state-dir", str(deleted / "state")])
    assert finished.exit_code == 0, finished.output
