"""The accounts of other ACME clients: read or find their keys, show them, and add them to the settings.

Only `trust` imports this module: pins never change over the channel that they protect.
"""

import os
import pwd
import tomllib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.commands import fleet_drop_in
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.client_accounts import ClientAccount, find_client_accounts
from wellkeeper_issuer.outside.keys.foreign_keys import read_thumbprint
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.files import ACCOUNTS, drop_in_folder
from wellkeeper_node import presence

_TITLES: Final = ("CLIENT", "CA", "KEY", "PINNED", "THUMBPRINT", "FILE")
_FILE: Final = "pinned-accounts.toml"
_BEGIN: Final = (
    "# Accounts of other ACME clients, which 'wellkeeper trust --account-key' or '--clients' added.\n"
    "# To unpin one: wellkeeper trust --unpin THUMBPRINT --write\n"
    f"{ACCOUNTS} = [\n"
)
_END: Final = "]\n"
_LONGEST_NOTE: Final = 200


def read(files: Sequence[Path]) -> tuple[ClientAccount, ...]:
    """Return the accounts of these key files. Raises SettingsError for the first one that is not an account key."""
    return tuple(ClientAccount("", "", path.absolute(), *read_thumbprint(path)) for path in files)


def find(homes: Sequence[Path]) -> tuple[ClientAccount, ...]:
    """Return the accounts in the usual places of the system, of this user and of these homes. Never raises."""
    own = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    return find_client_accounts(dict.fromkeys((own, *(home.absolute() for home in homes))))


def show(accounts: Sequence[ClientAccount], pinned: Container[str]) -> None:
    """Print the accounts, and how to pin those that are not."""
    if not accounts:
        click.echo(
            "No accounts of other ACME clients were found. Name a key with --account-key, or a home with --home."
        )
        return
    rows = [Row(tuple(_cells(one, pinned))) for one in accounts]
    print_table(_TITLES, rows, name_column=len(_TITLES) - 1, cuts_last=False)
    if any(one.thumbprint and one.thumbprint not in pinned for one in accounts):
        click.echo("\nRepeat the command with --write to let responders answer for these accounts.")


def to_json(accounts: Sequence[ClientAccount], pinned: Container[str]) -> list[dict[str, Any]]:
    return [
        {
            "client": one.client or None,
            "ca": one.ca or None,
            "file": str(one.path),
            "key": one.kind or None,
            "thumbprint": one.thumbprint or None,
            "is_pinned": one.thumbprint in pinned,
            "fault": one.fault or None,
        }
        for one in accounts
    ]


def pin(config: Path, settings: Settings, accounts: Sequence[ClientAccount]) -> None:
    """Add the accounts that the settings lack to a drop-in beside them; accounts of publishers are not added.

    Raises SettingsError, also for a publisher's account whose file was named.
    """
    owners = {text: one.name for one in settings.publishers for text in one.account_thumbprints}
    for one in accounts:
        if not one.client and (name := owners.get(one.thumbprint)):
            raise SettingsError(
                f"cannot pin the account of {one.path}; nothing was changed",
                f"it is that of publisher {name}, who may publish for some names only",
                f"To pin it for every name, run 'wellkeeper publisher remove {name}' first.",
            )
    known = {*settings.account_thumbprints, *owners}
    new = {one.thumbprint: one for one in accounts if one.thumbprint and one.thumbprint not in known}
    if new:
        path = drop_in_folder(config) / _FILE
        lines = "".join(f"{_begin(thumbprint)}  # {_note(one)}\n" for thumbprint, one in new.items())
        fleet_drop_in.write({path: f"{_former(path).removesuffix(_END)}{lines}{_END}"})


def check_unpinned(config: Path, settings: Settings, thumbprints: Sequence[str]) -> None:
    """Raise SettingsError if the drop-in lacks one of the accounts to unpin, before anything is changed."""
    path = drop_in_folder(config) / _FILE
    lines = _former(path).splitlines() if thumbprints else []
    for one in thumbprints:
        if not any(line.startswith(_begin(one)) for line in lines):
            raise SettingsError(f"cannot unpin {one}; nothing was changed", *_elsewhere(settings, one, path))


def unpin(config: Path, thumbprints: Sequence[str]) -> None:
    """Remove the accounts from this drop-in, after `check_unpinned`. Raises SettingsError."""
    if thumbprints:
        path, begins = drop_in_folder(config) / _FILE, tuple(map(_begin, thumbprints))
        lines = _former(path).splitlines(keepends=True)
        fleet_drop_in.write({path: "".join(line for line in lines if not line.startswith(begins))})


def _begin(thumbprint: str) -> str:
    return f'  "{thumbprint}",'


def _elsewhere(settings: Settings, thumbprint: str, path: Path) -> tuple[str, str]:
    """Return why the drop-in lacks this account, and what to do."""
    for one in settings.publishers:
        if thumbprint in one.account_thumbprints:
            return f"it is an account of publisher {one.name}", f"Run 'wellkeeper publisher remove {one.name}'."
    if thumbprint in settings.account_thumbprints:
        return f"it is not in {path}, but in another settings file", f"Remove it from {ACCOUNTS} there."
    remedy = "If the trust file has it, run 'wellkeeper trust --write'; else see 'wellkeeper trust --clients'."
    return "the settings do not have it", remedy


def _former(path: Path) -> str:
    """Return the text of the drop-in, or an empty one. Raises SettingsError if it is not ours."""
    if not presence.exists(path):
        return _BEGIN + _END
    text = path.read_text()
    if tomllib.loads(text).keys() != {ACCOUNTS} or not text.endswith(f"\n{_END}"):
        raise SettingsError(
            f"cannot change {path}",
            f"it was changed by hand: this command expects {ACCOUNTS} alone, with one thumbprint per line",
            f"Add the thumbprints to {ACCOUNTS} yourself, then run 'wellkeeper trust --write'.",
        )
    return text


def _note(one: ClientAccount) -> str:
    return one_line(" ".join(filter(None, (one.client, one.ca, str(one.path)))), _LONGEST_NOTE)


def _cells(one: ClientAccount, pinned: Container[str]) -> Iterator[str]:
    yield one.client or "-"
    yield one_line(one.ca) or "-"
    yield one.kind or "-"
    yield "-" if one.fault else "yes" if one.thumbprint in pinned else "no"
    yield one.thumbprint or "-"
    yield one_line(f"{one.path}{f': {one.fault}' if one.fault else ''}")
