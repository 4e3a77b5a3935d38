"""key prepare: make the next key, so that nodes can learn it at any time before it is used."""

from collections.abc import Iterator
from pathlib import Path

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.key_holders import KeyKind
from wellkeeper_issuer.commands.account import ca_option, choose
from wellkeeper_issuer.commands.key_kinds import KINDS, TO_NODES, signing_key
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.happened import Happened, What


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@ca_option
@options.config_option
@options.json_option
def prepare(kind: str, name: str | None, config: Path | None, *, as_json: bool) -> None:
    """Create the next key of this KIND: publishing, fleet or account.

    'trust --write' adds it to the trust file next to the current one, which stays in use until 'key switch'. Without
    --ca, the next account keys of all CAs are created. You can repeat this.
    """
    settings = options.read(config)
    made = list(_make(settings, KeyKind(kind), name))
    if as_json:
        print_json({"kind": kind, "keys": [{"path": str(path), "is_new": is_new} for path, is_new in made]})
        return
    lines = [f"made   {path}" if is_new else f"kept   {path}" for path, is_new in made]
    click.echo("\n".join([*lines, TO_NODES]))


def _make(settings: Settings, kind: KeyKind, ca: str | None) -> Iterator[tuple[Path, bool]]:
    """Yield the path of each next key, and whether it is new. Raises SettingsError."""
    if kind is not KeyKind.ACCOUNT:
        key = signing_key(settings, kind)
        if is_new := key.prepare():
            build.history(settings.state_dir).add(Happened(What.KEY_MADE, kind, {"file": key.next_path.name}))
        yield key.next_path, is_new
        return
    accounts = build.accounts(settings)
    for one in settings.all_cas() if ca is None else (choose(settings, ca),):
        is_new = accounts.next_account_key(one.directory) is None
        accounts.make_next_account_key(one.directory)
        yield accounts.next_key_path(one.directory), is_new
