"""files: snippets and units are written completely, and never over other files."""

import subprocess
from pathlib import Path

import pytest

from stand.processes import PROGRAMS
from tests.issuer.commands.conftest import Program
from wellkeeper_issuer.commands.completion import SCRIPTS, script

PROJECT = Path(__file__).resolve().parents[3]
SOURCES = {
    f"{folder}/{path.name}": path.read_bytes()
    for folder in ("nginx/agent", "nginx/snippets", "systemd", "monitoring")
    for path in (PROJECT / folder).iterdir()
    if not path.match("*.test.yml")
} | {f"share/{path}": script(shell).encode() for shell, path in SCRIPTS.items()}


def written(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_snippets_and_units_are_written(program: Program, folder: Path) -> None:
    finished = program.run("files", str(folder / "a/b"))
    assert (finished.exit_code, finished.err) == (0, "")
    assert finished.out == f"{folder}/a/b: {len(SOURCES)} files written, 0 unchanged\n"
    assert written(folder / "a/b") == SOURCES
    assert {path.stat().st_mode & 0o777 for path in (folder / "a/b").rglob("*.conf")} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (folder / "a/b/nginx/agent").iterdir()} == {0o755}


def test_second_run_writes_only_missing_files(program: Program, folder: Path) -> None:
    program.run("files", str(folder))
    (folder / "systemd/wellkeeper.service").unlink()
    reported = program.run("files", str(folder), "--json").json()
    assert reported["written"] == [f"{folder}/systemd/wellkeeper.service"]
    assert len(reported["unchanged"]) == len(SOURCES) - 1
    assert written(folder) == SOURCES


def test_changed_files_are_listed_and_nothing_is_written(program: Program, folder: Path) -> None:
    program.run("files", str(folder))
    changed, linked, missing = (folder / f"nginx/snippets/{name}.conf" for name in ("tls", "challenge", "upstream"))
    changed.write_text("mine")
    missing.unlink()
    linked.unlink()
    linked.symlink_to("nowhere")
    finished = program.run("files", str(folder))
    assert (finished.exit_code, finished.out) == (1, "")
    assert finished.err.splitlines() == [
        f"wellkeeper: nothing was written: 2 files in {folder} would be replaced",
        "  nginx/snippets/challenge.conf, nginx/snippets/tls.conf",
        "  Compare them with the new versions, then run the command again with --force.",
    ]
    assert (changed.read_text(), linked.is_symlink(), missing.exists()) == ("mine", True, False)
    assert program.run("files", str(folder), "--force").out == (
        f"{folder}: 3 files written, {len(SOURCES) - 3} unchanged\n"
    )
    assert written(folder) == SOURCES


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/proc/missing", "cannot write /proc/missing: No such file or directory: Choose another directory."),
        ("/sys", "cannot write /sys/nginx: Operation not permitted: Run the command with sudo, or choose a directory"),
        ("file/below", "/file: File exists: Choose another directory."),
        ("folder", "/folder/systemd/wellkeeper.service: Is a directory: Choose another directory."),
    ],
)
def test_directory_that_cannot_be_written_is_reported(program: Program, folder: Path, place: str, words: str) -> None:
    (folder / "file").touch()
    (folder / "folder/systemd/wellkeeper.service").mkdir(parents=True)
    finished = program.run("files", str(folder / place), "--force")
    assert (finished.exit_code, finished.out) == (1, "")
    assert words in finished.err.replace("\n  ", ": ").replace("Permission denied", "Operation not permitted")


def test_empty_directory_name_is_refused(program: Program) -> None:
    finished = program.run("files", "")
    assert (finished.exit_code, finished.out) == (2, "")
    assert "Invalid value for DIRECTORY: must not be empty" in finished.err


def test_output_that_cannot_be_written_is_reported(folder: Path) -> None:
    command = [str(PROGRAMS / "wellkeeper"), "files", str(folder / "new")]
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True)
    assert finished.returncode == 1
    assert finished.stderr == "wellkeeper: cannot write to standard output: No space left on device\n"
    assert written(folder / "new") == SOURCES
