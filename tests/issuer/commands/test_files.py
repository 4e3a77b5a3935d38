"""files: what comes with the program is written out whole, and never over something else."""

from pathlib import Path

import pytest

from tests.issuer.commands.conftest import Program

PROJECT = Path(__file__).resolve().parents[3]
SOURCES = {
    f"{folder}/{path.name}": path.read_bytes()
    for folder in ("nginx/snippets", "systemd")
    for path in (PROJECT / folder).iterdir()
}


def written(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_snippets_and_units_are_written(program: Program, folder: Path) -> None:
    finished = program.run("files", str(folder / "a/b"))
    assert (finished.exit_code, finished.err) == (0, "")
    assert finished.out == f"{folder}/a/b: {len(SOURCES)} files written, 0 unchanged\n"
    assert written(folder / "a/b") == SOURCES
    assert {path.stat().st_mode & 0o777 for path in (folder / "a/b").rglob("*.conf")} == {0o644}


def test_second_time_only_what_is_missing_is_written(program: Program, folder: Path) -> None:
    program.run("files", str(folder))
    (folder / "systemd/wellkeeper.service").unlink()
    told = program.run("files", str(folder), "--json").json()
    assert told["written"] == [f"{folder}/systemd/wellkeeper.service"]
    assert len(told["unchanged"]) == len(SOURCES) - 1
    assert written(folder) == SOURCES


def test_changed_file_is_kept_and_nothing_else_written(program: Program, folder: Path) -> None:
    program.run("files", str(folder))
    changed, missing = folder / "nginx/snippets/tls.conf", folder / "systemd/wellkeeper.service"
    changed.write_text("mine")
    missing.unlink()
    finished = program.run("files", str(folder))
    assert (finished.exit_code, finished.out) == (2, "")
    assert f"{changed}: exists and differs from the version shipped with this program; nothing was" in finished.err
    assert (changed.read_text(), missing.exists()) == ("mine", False)
    assert program.run("files", str(folder), "--force").exit_code == 0
    assert written(folder) == SOURCES


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (
            "/proc/nobody",
            "cannot write /proc/nobody: No such file or directory; choose a directory that you may write to",
        ),
        ("file/below", "/file: File exists; choose a directory that you may write to"),
    ],
)
def test_place_that_takes_nothing_is_named(program: Program, folder: Path, place: str, words: str) -> None:
    (folder / "file").touch()
    finished = program.run("files", str(folder / place))
    assert (finished.exit_code, finished.out, finished.err.count("\n")) == (2, "", 1)
    assert words in finished.err
