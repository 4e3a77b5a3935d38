"""certificate remove: remove a drop-in, and with --delete-files the installed certificate, too."""

import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.removing import check_unused, files_away
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.daemon.socket import Message
from wellkeeper_issuer.outside.host.drop_ins import drop_in_path, remove_drop_in, write_drop_in
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.certificate_table import EXTERNAL
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.settings.files import (
    CERTIFICATES,
    Sources,
    TomlFile,
    drop_in_folder,
    find_table_lines,
    read_sources,
)
from wellkeeper_node.certificates.removal import is_away
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.model import LINEAGE_NAME

_HOOK: Final = "the deploy hook of its client would add it again"


@dataclass(frozen=True, slots=True)
class _Removal:
    settings: Settings
    name: str
    drop_in: Path
    are_files_deleted: bool
    has_drop_in: bool = True


@click.command()
@options.name_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--delete-files", is_flag=True, help="Also delete live/NAME and archive/NAME with all keys.")
@options.config_option
@options.json_option
def remove(name: str, config: Path | None, *, as_json: bool, yes: bool, delete_files: bool) -> None:
    """Stop renewing the certificate NAME: remove its file in issuer.d and its records in the state.

    The installed certificate stays and is served until it expires, unless --delete-files is given. Settings that you
    wrote by hand are never changed; the command then shows which lines to remove.
    """
    options.refuse_standbys(config)
    sources = read_sources(settings_path(config))
    settings = check(sources)
    removal = _interrupted(sources, settings, name) if delete_files else None
    removal = removal or _chosen(sources, settings, name, are_files_deleted=delete_files)
    is_removed = yes or _is_confirmed(removal)
    if is_removed:
        interrupts.run(_remove(removal))
        details = {"file": str(removal.drop_in), "keys_deleted": "yes" if delete_files else "no"}
        build.history(settings.state_dir).add(Happened(What.CERTIFICATE_REMOVED, removal.name, details))
    if as_json:
        print_json(_to_json(removal, is_removed=is_removed))
    else:
        click.echo(_summary(removal) if is_removed else "Nothing was removed.")


def _chosen(sources: Sources, settings: Settings, name: str, *, are_files_deleted: bool) -> _Removal:
    """Raises SettingsError for an unknown certificate, and one whose file was written by hand."""
    name = choose(settings, [name])[0].name
    index = [one.name for one in settings.certificates].index(name)
    file, location = sources.place(("certificates", index))
    if file is sources.main or len(file.tables(CERTIFICATES)) > 1 or file.values.keys() != {CERTIFICATES}:
        raise _by_hand(file, location, name)
    return _Removal(settings, name, file.path, are_files_deleted)


def _interrupted(sources: Sources, settings: Settings, name: str) -> _Removal | None:
    """Return the removal to finish, whose drop-in is gone but whose files are not."""
    if LINEAGE_NAME.fullmatch(name) is None or any(one.name == name for one in settings.certificates):
        return None
    if not is_away(settings.certificates_dir, name):
        return None
    drop_in = drop_in_path(drop_in_folder(sources.main.path), name)
    return _Removal(settings, name, drop_in, are_files_deleted=True, has_drop_in=False)


def _is_confirmed(removal: _Removal) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("Not a terminal: pass --yes to confirm.")
    more = ", and the certificate and all its keys" if removal.are_files_deleted else ""
    return click.confirm(f"Remove {removal.drop_in}{more}?", err=True)


def _by_hand(file: TomlFile, location: tuple[int | str, ...], name: str) -> SettingsError:
    lines = find_table_lines(file.text, location)
    where = f"lines {lines[0]} to {lines[1]} of {file.path}" if lines else f"its table in {file.path}"
    return SettingsError(
        f"cannot remove {name}; nothing was changed",
        f"{file.path} was written by hand",
        f"Remove {where}, then run 'wellkeeper reload' if the daemon runs.",
    )


async def _remove(removal: _Removal) -> None:
    settings, name = removal.settings, removal.name
    if removal.are_files_deleted:
        await check_unused(settings, name)
    if await remote.ask(settings, {"command": "status"}) is not None:
        await _remove_from_daemon(removal)
    elif has_state(settings.state_dir):
        async with build.owned_state(settings, "certificate") as (state, _), _files_away(removal):
            with _drop_in_away(removal):
                await state.forget_lineage(name)
    else:
        async with _files_away(removal):
            with _drop_in_away(removal):
                pass


async def _remove_from_daemon(removal: _Removal) -> None:
    """Move the files away only when the daemon no longer works on the certificate: it would install another one."""
    settings = removal.settings
    async with AsyncExitStack() as files, AsyncExitStack() as undo:
        undo.push_async_callback(_reload_again, settings)
        with _drop_in_away(removal):
            await remote.demand(settings, {"command": "reload"})
            # This waits for a renewal under way. Should the files move back, the next pass finds them installed.
            await remote.demand(settings, {"command": "forget", "names": [removal.name]}, _print_outcome)
            await files.enter_async_context(_files_away(removal))
        undo.pop_all()


async def _reload_again(settings: Settings) -> None:
    with suppress(WellkeeperError):  # the first error counts
        await remote.ask(settings, {"command": "reload"})


@contextmanager
def _drop_in_away(removal: _Removal) -> Iterator[None]:
    """Remove the drop-in, and restore it when the context raises: without it, the next run finds no certificate.

    Files are deleted after that. The next run finishes an interrupted deletion without the drop-in.
    """
    if not removal.has_drop_in:
        yield
        return
    text = removal.drop_in.read_text("utf-8")
    with ExitStack() as undo:
        undo.callback(_restore, removal.drop_in, text)
        remove_drop_in(removal.drop_in)
        yield
        undo.pop_all()


def _restore(drop_in: Path, text: str) -> None:
    if not drop_in.exists():
        write_drop_in(drop_in, text)


def _files_away(removal: _Removal) -> AbstractAsyncContextManager[None]:
    return files_away(removal.settings, removal.name) if removal.are_files_deleted else nullcontext()


def _print_outcome(message: Message) -> None:
    click.echo(f"{message.get('certificate')}: {message.get('detail')}", err=True)


def _to_json(removal: _Removal, *, is_removed: bool) -> dict[str, Any]:
    root = removal.settings.certificates_dir
    return {
        "name": removal.name,
        "is_removed": is_removed,
        "are_files_deleted": is_removed and removal.are_files_deleted,
        "drop_in": str(removal.drop_in),
        "live_path": str(root / "live" / removal.name),
        "archive_path": str(root / "archive" / removal.name),
    }


def _summary(removal: _Removal) -> str:
    root = removal.settings.certificates_dir
    if removal.are_files_deleted:
        return f"removed {removal.drop_in}, {root}/live/{removal.name} and {root}/archive/{removal.name}"
    external = {one.name for one in removal.settings.certificates if one.source == EXTERNAL}
    ends = f"expected; {_HOOK}" if removal.name in external else "renewed"
    return (
        f"removed {removal.drop_in}; {removal.name} is no longer {ends}. nginx serves it until it expires.\n"
        f"When no server block uses it any more, delete {root}/live/{removal.name} and {root}/archive/{removal.name}."
    )
