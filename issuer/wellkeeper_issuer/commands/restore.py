"""restore: put a backup on a host that has no state, all of it or nothing."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wellkeeper_client import services
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.backing_up import secrets
from wellkeeper_issuer.commands.backing_up.summary import contents_json, describe
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import BackupError
from wellkeeper_issuer.location import find_settings
from wellkeeper_node import durable
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.happened import Happened, What

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.backup.contents import Contents
    from wellkeeper_issuer.outside.backup.places import Item
    from wellkeeper_issuer.outside.backup.placing import Restoring

_FORMER: Final = (
    "Make sure that the issuer on the former host no longer runs: it has the same accounts and certificates."
)
_LOOK: Final = "Run 'wellkeeper status', and 'wellkeeper doctor' for what else this host needs."
_RELAY: Final = (
    "Run 'wellkeeper fleet listen ADDRESS…' with the relay's addresses before you start the issuer, so that nodes say"
    " what they have: it writes relay.env, which no backup has, and starts the relay."
    " If an address is new, name it in node.toml on each node."
)
_WAITS: Final = (
    "Run 'wellkeeper status' again: the issuer orders nothing until all nodes have reported what they have, and says"
    " which are missing. It then renews once what was renewed after the backup."
)


@dataclass(frozen=True, slots=True)
class _Result:
    contents: "Contents"
    is_restored: bool
    is_continued: bool
    taken: Sequence[Path]
    next_steps: Sequence[str]


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--identity",
    "identities",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Decrypt with the private key in this file, of age or SSH; repeatable.",
)
@secrets.passphrase_file_option
@click.option(
    "--standby",
    is_flag=True,
    help="Make this node a standby, until 'promote'; repeat it with each newer backup.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what is in the backup, and what is in the way here; change nothing."
)
@options.config_option
@options.json_option
def restore(  # noqa: PLR0913 - the options
    file: Path,
    config: Path | None,
    *,
    identities: tuple[Path, ...],
    passphrase_file: Path | None,
    standby: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Restore the backup FILE on this host, which must not have an issuer's state.

    Nothing is replaced, and nothing in the backup is ordered again. If it is interrupted, run it again. Run it as the
    user who runs the issuer. It asks for a passphrase if the backup needs one.

    Exit status: 0 restored, 1 nothing was changed, 2 usage.
    """
    found = _read(file, identities, passphrase_file)
    result = _restore(found, config, is_standby=standby, is_dry=dry_run)
    if as_json:
        print_json(_to_json(result))
    else:
        click.echo(_to_text(file, result))


@dataclass(frozen=True, slots=True)
class _Found:
    """A backup that was read: the file, its content, and its SHA-256."""

    file: Path
    contents: "Contents"
    digest: str


def _read(file: Path, identities: tuple[Path, ...], passphrase_file: Path | None) -> _Found:
    from wellkeeper_issuer.outside.backup import contents

    encrypted = secrets.read(file)
    plain = secrets.decrypting(encrypted, identities, passphrase_file).decrypt(encrypted)
    return _Found(file, contents.unpack(plain), hashlib.sha256(encrypted).hexdigest())


def _restore(read: _Found, config: Path | None, *, is_standby: bool, is_dry: bool) -> _Result:
    from wellkeeper_issuer.commands.backing_up import standby
    from wellkeeper_issuer.outside.backup.places import find_items
    from wellkeeper_issuer.outside.backup.placing import Restoring
    from wellkeeper_issuer.outside.state.standby import read_standby

    found = read.contents
    given, origin = find_settings(config)
    path = Path(found.manifest.settings) if origin == "default" else given.absolute()
    places = Path(found.manifest.state_dir), Path(found.manifest.certificates_dir)
    items = [*_mark(found), *find_items(found, path)]
    restoring = Restoring(items, *places, read.digest)
    try:
        if is_standby and not restoring.is_decided:
            chosen, replaced = standby.choose(found.manifest, items, path)
            restoring = Restoring(chosen, *places, read.digest, replaced)
        if is_dry:
            return _Result(found, False, False, () if restoring.is_decided else restoring.taken(), ())
        is_continued = _place(restoring)
        is_standby = read_standby(restoring.state_dir) is not None  # an interrupted run has decided it
        details = {"sha256": read.digest, **({"as": "standby"} if is_standby else {})}
        build.history(restoring.state_dir).add(Happened(What.BACKUP_RESTORED, str(read.file), details))
    except OSError as error:
        what, why = f"cannot restore into {error.filename or restoring.state_dir}", error.strerror or str(error)
        raise BackupError(what, why, remedies.of_storing(error)) from error
    if is_standby:
        return _Result(found, True, is_continued, (), asyncio.run(standby.next_steps(found.manifest)))
    start = (_LOOK, *(services.sentence("enable --now", unit) for unit in ("wellkeeper-responder", "wellkeeper")))
    steps = (_FORMER, _RELAY, *start, _WAITS) if found.manifest.has_fleet else (_FORMER, *start)
    return _Result(found, True, is_continued, (), steps)


def _mark(found: "Contents") -> "Iterator[Item]":
    """Yield the file that lets the issuer of a fleet wait for its nodes."""
    from wellkeeper_issuer.outside.backup.places import Item
    from wellkeeper_issuer.outside.state.restored import RESTORED, encode
    from wellkeeper_issuer.ports.fleet import Restore

    if found.manifest.has_fleet:
        yield Item(Path(found.manifest.state_dir), RESTORED, 0o600, encode(Restore()))


def _place(restoring: "Restoring") -> bool:
    """Put everything in place; return whether an earlier run had begun."""
    if not restoring.is_decided:
        restoring.check()
    durable.make_folder(restoring.state_dir, 0o700, durable.Owner())
    return asyncio.run(_as_owner(restoring))


async def _as_owner(restoring: "Restoring") -> bool:
    from wellkeeper_issuer.outside.state.lock import RESTORE, LocalOwnership

    async with LocalOwnership(restoring.state_dir).hold(RESTORE):
        is_continued = restoring.is_decided
        if not is_continued:
            restoring.check()
            restoring.stage()
        restoring.complete()
    return is_continued


def _to_text(file: Path, result: _Result) -> str:
    lines = [f"{'restored ' if result.is_restored else 'read     '} {file}", *describe(result.contents)]
    lines += [f"exists    {path}, so that this host cannot be restored" for path in result.taken]
    if result.next_steps:
        lines += ["", "Next steps:", *(f"  {number}. {one}" for number, one in enumerate(result.next_steps, 1))]
    return "\n".join(lines)


def _to_json(result: _Result) -> dict[str, Any]:
    return {
        "is_restored": result.is_restored,
        "is_continued": result.is_continued,
        "contents": contents_json(result.contents),
        "exists": [str(path) for path in result.taken],
        "next_steps": list(result.next_steps),
    }
