"""account: our accounts at the CAs: shown, registered, changed, given another key, ended."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.authorities import open_authorities
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.tables import CaSettings
from wellkeeper_node.clock import SystemClock

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.ca.account import AccountAtCa

ca_option = click.option(
    "--ca", "name", metavar="NAME", help="The CA, if there are several: a name or a directory URL."
)
T = TypeVar("T")
_CHOICE: Final = "the settings name several CAs; say which with --ca: "


@dataclass(frozen=True, slots=True)
class AccountSession:
    """One CA, and what it takes to speak with it."""

    settings: Settings
    ca: CaSettings
    folder: AccountFolder
    account: "AccountAtCa"


@click.group()
def account() -> None:
    """Our accounts at the CAs of the settings."""


@account.command(short_help="Make the account before the first order does.")
@ca_option
@options.config_option
@options.json_option
def register(name: str | None, config: Path | None, as_json: bool) -> None:
    """Make the account before the first order needs it; tells its URL when it is there already."""
    settings = options.read(config)
    ca = choose(settings, name)
    url = asyncio.run(with_session(settings, ca, lambda session: session.account.register()))
    tell({"ca": ca.name, "account_url": url}, f"{ca.name}: our account is {url}", as_json=as_json)


@account.command(short_help="Tell the CA the contacts of the settings.")
@ca_option
@options.config_option
@options.json_option
def update(name: str | None, config: Path | None, as_json: bool) -> None:
    """Tell the CA the contacts of the settings, and that its present terms are agreed to if the settings say so."""
    settings = options.read(config)
    ca = choose(settings, name)
    state = asyncio.run(with_session(settings, ca, lambda session: session.account.update(settings.contact)))
    contact = ", ".join(state.contact) or "none (some CAs keep none)"
    found = {"ca": ca.name, "account_url": state.url, "status": state.status, "contact": list(state.contact)}
    tell(found, f"{ca.name}: {state.url} is {state.status}; contact: {contact}", as_json=as_json)


@account.command(short_help="Replace the account key.")
@ca_option
@options.config_option
@options.json_option
def rollover(name: str | None, config: Path | None, as_json: bool) -> None:
    """Replace the account key, once every responder knows the next one. Run it again whenever it was interrupted."""
    settings = options.read(config)
    ca = choose(settings, name)
    thumbprint = asyncio.run(with_session(settings, ca, _roll_over))
    text = (
        f"{ca.name}: the account has its new key, thumbprint {thumbprint}\nThe responders need the old one no longer;"
        " 'wellkeeper trust' prints the line for their next restart."
    )
    tell({"ca": ca.name, "thumbprint": thumbprint}, text, as_json=as_json)


@account.command(short_help="End the account, for good.")
@ca_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.config_option
@options.json_option
def deactivate(name: str | None, yes: bool, config: Path | None, as_json: bool) -> None:
    """End the account, for good: no order, no revocation with it any more. Certificates stay valid."""
    settings = options.read(config)
    ca = choose(settings, name)

    async def end(session: AccountSession) -> str:
        url = session.account.record().account_url
        if not yes and not sys.stdin.isatty():
            raise click.UsageError(f"this ends {url} at {ca.name} for good; say --yes if that is what you want")
        if not yes:
            click.confirm(f"Deactivate {url} at {ca.name}, for good?", abort=True, err=True)
        return (await session.account.deactivate()).status

    status = asyncio.run(with_session(settings, ca, end))
    text = f"{ca.name}: the account is {status}; certificates that it was given stay valid until they expire"
    tell({"ca": ca.name, "status": status}, text, as_json=as_json)


def choose(settings: Settings, name: str | None) -> CaSettings:
    """The CA of that name, or the only one; raises SettingsError."""
    cas = settings.all_cas()
    if name is not None:
        try:
            return settings.find_ca(name)
        except ValueError as error:
            raise SettingsError(f"--ca: {error}") from error
    if len(cas) > 1:
        raise SettingsError(_CHOICE + ", ".join(one.name for one in cas))
    return cas[0]


async def with_session(settings: Settings, ca: CaSettings, work: Callable[[AccountSession], Awaitable[T]]) -> T:
    """Opens the CA for one piece of work."""
    from wellkeeper_issuer.outside.ca.account import AccountAtCa

    folder = build.accounts(settings)
    with open_authorities(settings) as authorities:
        return await work(AccountSession(settings, ca, folder, AccountAtCa(authorities.open(ca.directory).connection)))


def tell(found: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        click.echo(text)


async def _roll_over(session: AccountSession) -> str:
    from wellkeeper_issuer.outside.keys.rollover import roll_over
    from wellkeeper_node.responders.client import ResponderClient

    key, clock = session.folder.publishing_key, SystemClock()
    nodes = [node.to_node() for node in session.settings.nodes]
    clients = [ResponderClient(node.name, node.responder, key, clock) for node in nodes]
    async with AsyncExitStack() as stack:
        for client in clients:
            stack.push_async_callback(client.close)
        return await roll_over(session.account, session.folder, clients)
