"""publisher add: make a publishing key for another ACME client, and add the client to the settings."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError

from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.host.drop_ins import drop_in_path, write_drop_in
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_issuer.outside.keys.foreign_keys import read_thumbprint
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.files import PUBLISHERS, drop_in_folder
from wellkeeper_issuer.settings.publisher_table import PublisherSettings, find_pinned
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_node import durable
from wellkeeper_node.happened import Happened, What

_COMMENT: Final = "Written by 'wellkeeper publisher add'; 'wellkeeper publisher remove' revokes the key."
_UNPIN: Final = "Run 'wellkeeper trust --unpin THUMBPRINT --write' first."
_FILE: Final = click.Path(path_type=Path, readable=False)


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--account-key", "keys", multiple=True, required=True, type=_FILE, help="The client's account key.")
@click.option(
    "--identifier",
    "identifiers",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A name or IP address that it may publish for; *.example.org stands for every name below example.org.",
)
@click.option("--user", help="The user who runs the client, and owns the publishing key.  [default: you]")
@options.config_option
@options.json_option
def add(  # noqa: PLR0913 - the options
    name: str,
    config: Path | None,
    *,
    keys: tuple[Path, ...],
    identifiers: tuple[str, ...],
    user: str | None,
    as_json: bool,
) -> None:
    """Create the publishing key of a client called NAME, and add it to the settings as a publisher.

    --account-key and --identifier may be repeated. A client with the publishing key and one of the accounts can obtain
    certificates for these names, and for no others. 'wellkeeper trust --write' lets the responder know.
    """
    settings, path = options.read(config), settings_path(config)
    owner = _owner(user)
    thumbprints = [read_thumbprint(key)[1] for key in keys]
    private = key_path(path, name)
    table = {"name": name, "account_thumbprints": thumbprints, "identifiers": list(identifiers)}
    # The form of a key, so that all else is checked before there is one.
    checked = _checked(settings, table | {"publishing_keys": ["A" * 43]})
    public = _make_key(private, owner)
    drop_in = drop_in_path(drop_in_folder(path), f"publisher-{name}")
    values = table | {"identifiers": list(checked.identifiers), "publishing_keys": [public]}
    write_drop_in(drop_in, to_toml(_COMMENT, {PUBLISHERS: [values]}))
    details = {"publisher": name, "file": str(private)}
    build.history(settings.state_dir).add(Happened(What.KEY_MADE, "publishing", details))
    if as_json:
        print_json({**values, "key_file": str(private), "drop_in": str(drop_in)})
    else:
        click.echo(_report(settings, checked, private, drop_in))


def key_path(path: Path, name: str) -> Path:
    """Return the path of the private key of this publisher, beside the settings in `path`."""
    return path.parent / "publishers" / f"{name}.pem"


def _owner(user: str | None) -> durable.Owner:
    """Return the ids of this user. Raises SettingsError."""
    if user is None:
        return durable.Owner()
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise SettingsError(
            f"cannot make a key for {user}", "this host has no such user", "Name the user who runs the client."
        ) from None
    return durable.Owner(found.pw_uid, found.pw_gid)


def _checked(settings: Settings, table: Mapping[str, object]) -> PublisherSettings:
    """Return the table as the settings parse it. Raises SettingsError."""
    try:
        found = PublisherSettings.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}"
        raise SettingsError("cannot add the publisher", why) from error
    if found.name in {one.name for one in settings.publishers}:
        raise SettingsError(
            "cannot add the publisher",
            f"there is a publisher named {found.name} already",
            f"Choose another name, change its table, or run 'wellkeeper publisher remove {found.name}' first.",
        )
    for _, why in find_pinned([found], settings.account_thumbprints):
        raise SettingsError("cannot add the publisher", f"account_thumbprints: {why}", _UNPIN)
    return found


def _make_key(path: Path, owner: durable.Owner) -> str:
    """Create the key, in place of one that no settings name, and return its public half. Raises SettingsError."""
    with key_files.translated(path):
        durable.make_folder(path.parent, 0o755, durable.Owner())
        path.unlink(missing_ok=True)  # of a revoked publisher, or of an interrupted run
        key_files.make_ed25519_key(path)
        public = encode_public_key(key_files.read_ed25519_key(path, "publishing key").public_key())
        os.chown(path, owner.user, owner.group, follow_symlinks=False)
    return public


def _report(settings: Settings, publisher: PublisherSettings, private: Path, drop_in: Path) -> str:
    control = settings.nodes[0].responder if settings.nodes else "the responder's control socket"
    return "\n".join(
        [
            f"{publisher.name} may publish for {', '.join(publisher.identifiers)}.",
            f"  publishing key  {private}, for its owner only",
            f"  settings        {drop_in}",
            f"  responder       {control}, to which the client must be able to connect",
            "Next: sudo wellkeeper trust --write, then let the client publish with this key (docs/publishers.md).",
        ]
    )
