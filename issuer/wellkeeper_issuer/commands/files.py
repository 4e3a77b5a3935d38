"""files: write the bundled files for nginx, systemd and Prometheus and completion scripts to a directory.

In a wheel, all but the last are package data; in a checkout they are in `nginx/`, `systemd/` and `monitoring/`.
"""

import errno
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer.commands import completion
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_node import durable, presence
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.wording import counted

_ENDINGS: Final = {
    "nginx/agent": ("entrypoint", "nginx-agent"),
    "nginx/snippets": (".conf", ".conf.example"),
    "systemd": (".service", ".timer"),
    "monitoring": (".rules.yml", ".dashboard.json"),
}
# Of programs.
_MODES: Final = {"nginx/agent": 0o755}
_REMEDIES: Final = {
    errno.ENOSPC: "Free some space there, then run the command again.",
    errno.EDQUOT: "Free some space there, then run the command again.",
    errno.EACCES: "Run the command with sudo, or choose a directory that you may write to.",
    errno.EPERM: "Run the command with sudo, or choose a directory that you may write to.",
}


@click.command()
@click.argument("directory", type=click.Path(file_okay=False))
@click.option("--force", is_flag=True, help="Replace files that exist and differ.")
@options.json_option
def files(directory: str, *, force: bool, as_json: bool) -> None:
    """Write nginx snippets and agent, systemd units, alert rules, dashboard and completion scripts to DIRECTORY.

    Files that exist with the same content are left alone. If one differs, nothing is written without --force.

    Exit status: 0 all files are in place, 1 not all could be written, 2 usage.
    """
    if not directory:
        raise click.BadParameter("must not be empty", param_hint="DIRECTORY")
    wanted = {Path(directory, name): content for name, content in shipped_files()}
    try:
        written = _write(wanted, directory, force=force)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "Choose another directory.")
        raise WellkeeperError(f"cannot write {error.filename or directory}", str(error.strerror), remedy) from error
    if as_json:
        unchanged = [str(path) for path in wanted if path not in written]
        print_json({"written": list(map(str, written)), "unchanged": unchanged})
    else:
        click.echo(f"{directory}: {counted(len(written), 'file')} written, {len(wanted) - len(written)} unchanged")


def shipped_files() -> Iterator[tuple[str, bytes]]:
    """Yield the path in the directory and the content of every bundled file."""
    root = _shipped()
    for folder, endings in _ENDINGS.items():
        for file in sorted(root.joinpath(folder).iterdir(), key=lambda one: one.name):
            if file.name.endswith(endings):
                yield f"{folder}/{file.name}", file.read_bytes()
    for shell, path in completion.SCRIPTS.items():
        yield f"share/{path}", completion.script(shell).encode()


def shipped_mode(name: str) -> int:
    """Return the mode of a bundled file."""
    return _MODES.get(name.rpartition("/")[0], 0o644)


def _shipped() -> Traversable:
    packaged = resources.files("wellkeeper_issuer").joinpath("files")
    return packaged if packaged.is_dir() else Path(__file__).parents[3]


def _write(wanted: Mapping[Path, bytes], directory: str, *, force: bool) -> list[Path]:
    """Return what was written; raises WellkeeperError and OSError."""
    changed = [path for path, content in wanted.items() if not _has_content(path, content)]
    differing = [path for path in changed if presence.exists(path) or presence.is_symlink(path)]
    if differing and not force:
        raise WellkeeperError(
            f"nothing was written: {counted(len(differing), 'file')} in {directory} would be replaced",
            ", ".join(str(path.relative_to(directory)) for path in differing),
            "Compare them with the new versions, then run the command again with --force.",
        )
    for path in changed:
        durable.make_folder(path.parent, 0o755, durable.Owner())
        durable.replace_whole(path, wanted[path], shipped_mode(str(path.relative_to(directory))))
    return changed


def _has_content(path: Path, content: bytes) -> bool:
    return presence.exists(path) and path.read_bytes() == content
