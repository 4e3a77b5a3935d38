"""account: register, update and deactivate the accounts at the CAs, and replace their keys."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.authorities import open_authorities
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.ca_tables import CaSettings

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.ca.account import AccountAtCa

ca_option = click.option(
    "--ca",
    "name",
    metavar="NAME",
    shell_complete=options.complete_own_cas,
    help="The CA, if there are several: a name or a directory URL.",
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AccountSession:
    """A CA with our account there."""

    settings: Settings
    ca: CaSettings
    folder: AccountFolder
    account: "AccountAtCa"


@click.group()
def account() -> None:
    """Show and change the accounts at the configured CAs."""


@account.command(short_help="Create the account before the first order does.")
@ca_option
@options.config_option
@options.json_option
def register(name: str | None, config: Path | None, as_json: bool) -> None:
    """Create the account before the first order needs it; if it exists, print its URL."""
    settings = options.read(config)
    ca = choose(settings, name)
    url = asyncio.run(with_session(settings, ca, lambda session: session.account.register()))
    print_result({"ca": ca.name, "account_url": url}, f"{ca.name}: the account is {url}", as_json=as_json)


@account.command(short_help="Send the contacts in the settings to the CA.")
@ca_option
@options.config_option
@options.json_option
def update(name: str | None, config: Path | None, as_json: bool) -> None:
    """Send the contacts in the settings to the CA, and agree to its current terms if the settings do."""
    settings = options.read(config)
    ca = choose(settings, name)
    state = asyncio.run(with_session(settings, ca, lambda session: session.account.update(settings.contact)))
    contact = ", ".join(state.contact) or "none (some CAs keep none)"
    found = {"ca": ca.name, "account_url": state.url, "status": state.status, "contact": list(state.contact)}
    print_result(found, f"{ca.name}: {state.url} is {state.status}; contact: {contact}", as_json=as_json)


@account.command(short_help="Replace the account key.")
@ca_option
@click.option("--abandon", is_flag=True, help="Delete the next key instead, and keep the current one.")
@options.config_option
@options.json_option
def rollover(name: str | None, abandon: bool, config: Path | None, as_json: bool) -> None:
    """Replace the account key, once every responder trusts the next one. If interrupted, run it again."""
    settings = options.read(config)
    ca = choose(settings, name)
    if abandon:
        thumbprint, is_done = asyncio.run(with_session(settings, ca, _abandon))
        text = f"{ca.name}: the next key was deleted" if is_done else f"{ca.name}: no rollover is under way"
        print_result(
            {"ca": ca.name, "thumbprint": thumbprint}, f"{text}; the account key is {thumbprint}", as_json=as_json
        )
        return
    thumbprint = asyncio.run(with_session(settings, ca, roll_over))
    text = (
        f"{ca.name}: the account has its new key, thumbprint {thumbprint}\nThe responders no longer need the old one:"
        " run 'wellkeeper trust --write'."
    )
    print_result({"ca": ca.name, "thumbprint": thumbprint}, text, as_json=as_json)


@account.command(short_help="Deactivate the account permanently.")
@ca_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@options.config_option
@options.json_option
def deactivate(name: str | None, yes: bool, config: Path | None, as_json: bool) -> None:
    """Deactivate the account permanently: it can no longer order or revoke. Certificates stay valid."""
    settings = options.read(config)
    ca = choose(settings, name)

    async def ask_and_deactivate(session: AccountSession) -> str:
        url = session.account.record().account_url
        if not yes and not sys.stdin.isatty():
            raise click.UsageError(f"Not a terminal: pass --yes to deactivate {url} at {ca.name} permanently.")
        if not yes:
            click.confirm(f"Deactivate {url} at {ca.name} permanently?", abort=True, err=True)
        return (await session.account.deactivate()).status

    status = asyncio.run(with_session(settings, ca, ask_and_deactivate))
    text = f"{ca.name}: the account is {status}; its certificates stay valid until they expire"
    print_result({"ca": ca.name, "status": status}, text, as_json=as_json)


def choose(settings: Settings, name: str | None) -> CaSettings:
    """Return the CA with this name, or the only one; raises SettingsError."""
    cas = settings.all_cas()
    if name is not None:
        try:
            return settings.find_ca(name)
        except ValueError as error:
            raise SettingsError("cannot use --ca", str(error)) from error
    if len(cas) > 1:
        names = ", ".join(one.name for one in cas)
        raise SettingsError("several CAs are configured", names, "Choose one with --ca NAME.")
    return cas[0]


async def with_session(settings: Settings, ca: CaSettings, work: Callable[[AccountSession], Awaitable[T]]) -> T:
    """Open a session with the CA, and run `work` in it."""
    from wellkeeper_issuer.outside.ca.account import AccountAtCa

    folder = build.accounts(settings)
    async with open_authorities(settings) as authorities:
        return await work(AccountSession(settings, ca, folder, AccountAtCa(authorities.open(ca.directory).connection)))


def print_result(found: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print the object with --json, else the text."""
    if as_json:
        print_json(found)
    else:
        click.echo(text)


async def _abandon(session: AccountSession) -> tuple[str, bool]:
    """Return the thumbprint of the present key, and whether there was a next one."""
    from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
    from wellkeeper_issuer.outside.keys.rollover import abandon

    is_done = await abandon(session.account, session.folder)
    return account_thumbprint(session.folder.account_key(session.ca.directory)), is_done


async def roll_over(session: AccountSession, *, is_forced: bool = False) -> str:
    """Replace the account key, and return its thumbprint; with `is_forced`, no responder need trust it."""
    from wellkeeper_issuer.assembly.key_holders import KeyKind, holders
    from wellkeeper_issuer.outside.keys import rollover

    async with holders(session.settings, KeyKind.ACCOUNT) as responders:
        return await rollover.roll_over(session.account, session.folder, () if is_forced else responders)
