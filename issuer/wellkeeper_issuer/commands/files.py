"""files: write out what comes with the program, the snippets for nginx and the units for systemd.

In the wheel they are package data; in a checkout they are where people edit them.
"""

import json
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer.commands.shared import options
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside import durable

_FOLDERS: Final = ("nginx/snippets", "systemd")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Replace files that exist and differ.")
@options.json_option
def files(directory: Path, *, force: bool, as_json: bool) -> None:
    """Write nginx snippets and systemd units to DIRECTORY.

    Files that exist with the same content are left alone. If one differs, nothing is written without --force.
    """
    wanted = {directory / name: content for name, content in shipped_files()}
    try:
        differing = [path for path, content in wanted.items() if path.exists() and path.read_bytes() != content]
        if differing and not force:
            raise SettingsError(
                f"{', '.join(map(str, differing))}: exists and differs from the version shipped with this program;"
                " nothing was written. Choose another directory, or replace it with --force"
            )
        written = [path for path, content in wanted.items() if path in differing or not path.exists()]
        for path in written:
            _replace(path, wanted[path])
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or directory}: {error.strerror}; choose a directory that you may write to"
        ) from error
    if as_json:
        unchanged = [str(path) for path in wanted if path not in written]
        click.echo(json.dumps({"written": list(map(str, written)), "unchanged": unchanged}, indent=2))
    else:
        click.echo(f"{directory}: {len(written)} files written, {len(wanted) - len(written)} unchanged")


def shipped_files() -> Iterator[tuple[str, bytes]]:
    """Yield path below the directory, and content, of every file that comes with the program."""
    root = _shipped()
    for folder in _FOLDERS:
        for file in sorted(root.joinpath(folder).iterdir(), key=lambda one: one.name):
            yield f"{folder}/{file.name}", file.read_bytes()


def _shipped() -> Traversable:
    packaged = resources.files("wellkeeper_issuer").joinpath("files")
    return packaged if packaged.is_dir() else Path(__file__).parents[3]


def _replace(path: Path, content: bytes) -> None:
    """Write the whole file durably, or leave what is there."""
    unfinished = path.with_name(f".{path.name}.tmp")
    durable.make_folder(path.parent, 0o755, durable.Owner())
    unfinished.unlink(missing_ok=True)
    try:
        durable.write_file(unfinished, content, 0o644, durable.Owner())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    durable.sync(path.parent)
