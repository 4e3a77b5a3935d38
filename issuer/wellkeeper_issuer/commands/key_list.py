"""key list: all keys that nodes trust, and the nodes that do not trust them yet."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client.signing import key_id
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.key_holders import KeyKind, find_lacking
from wellkeeper_issuer.commands.key_kinds import signing_key
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.settings import Settings

_TITLES: Final = ("KEY", "STATE", "ID", "NOT TRUSTED BY")
_FORMER: Final = "former"


@dataclass(frozen=True, slots=True)
class _Key:
    """A key; `lacking` are the nodes that do not trust it, with the reason."""

    kind: KeyKind
    ca: str | None
    state: str
    id: str
    lacking: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"lacking": dict(self.lacking)}

    @property
    def row(self) -> Row:
        name = f"{self.kind} {self.ca}" if self.ca else str(self.kind)
        return Row((name, self.state, self.id, ", ".join(self.lacking) or "-"))


@click.command("list")
@options.config_option
@options.json_option
def list_keys(config: Path | None, *, as_json: bool) -> None:
    """List publishing key, fleet key and account keys, with the nodes that do not trust them.

    The responders of the settings are asked; other nodes have reported what they trust.
    """
    settings = options.read(config, is_for_standbys=True)
    keys = asyncio.run(_with_holders(settings, list(_keys(settings))))
    if as_json:
        print_json({"keys": [one.to_json() for one in keys]})
    else:
        print_table(_TITLES, [one.row for one in keys], name_column=0, cuts_last=False)


def _keys(settings: Settings) -> Iterator[_Key]:
    """Yield them as they are on disk. Raises SettingsError."""
    for kind in (KeyKind.PUBLISHING, KeyKind.FLEET):
        if kind is KeyKind.FLEET and not FleetKeys(settings.state_dir).trusted:
            continue
        key = signing_key(settings, kind)
        states = {"current": key.current.public_key(), "next": key.following, _FORMER: key.former}
        yield from (_Key(kind, None, state, key_id(one)) for state, one in states.items() if one is not None)
    accounts = build.accounts(settings)
    for ca in settings.all_cas():
        current, following = accounts.account_key(ca.directory), accounts.next_account_key(ca.directory)
        yield _Key(KeyKind.ACCOUNT, ca.name, "current", account_thumbprint(current))
        if following is not None:
            yield _Key(KeyKind.ACCOUNT, ca.name, "next", account_thumbprint(following))


async def _with_holders(settings: Settings, keys: list[_Key]) -> list[_Key]:
    found = []
    for one in keys:
        lacking = {} if one.state == _FORMER else await find_lacking(settings, one.kind, one.id)
        found.append(replace(one, lacking=lacking))
    return found
