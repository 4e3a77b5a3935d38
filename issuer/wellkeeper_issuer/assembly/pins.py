"""A CA that no responder is pinned to is found out at the start, not on the day it is needed."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.outside.keys.pins import Pin, Unpinned, find_unpinned
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.tables import CaSettings
from wellkeeper_node.errors import PublishError

if TYPE_CHECKING:
    from wellkeeper_node.responders.client import ResponderClient

_log = logging.getLogger(__name__)


def wanted_pins(settings: Settings, accounts: AccountFolder) -> tuple[Pin, ...]:
    """One for each CA that may be asked, in order of preference; raises SettingsError when a key is missing."""
    return tuple(_pin(ca, accounts) for ca in settings.all_cas())


async def check_pins(
    settings: Settings, accounts: AccountFolder, clients: "Sequence[ResponderClient]"
) -> Mapping[str, str]:
    """By the CA's directory: why it must not be asked now, naming node, thumbprint and remedy. Each is logged.

    That is a CA whose key is missing, or whose thumbprint a responder lacks. A responder that cannot be asked is left
    to whoever publishes: it may be there by then.
    """
    pins, unusable = _pins(settings, accounts)
    found: list[Unpinned] = []
    for client in clients:
        try:
            found += await find_unpinned(pins, client)
        except PublishError as error:
            _log.warning("which account keys it knows cannot be asked: %s", error)
    for pin in pins:
        lacking = [str(one) for one in found if one.pin == pin]
        if lacking:
            unusable[pin.directory_url] = "; ".join(lacking)
    preferred = settings.all_cas()[0].directory
    for directory_url, sentence in unusable.items():
        if directory_url == preferred:
            _log.error("the preferred CA cannot be asked for anything: %s", sentence)
        else:
            _log.warning("a CA that is to stand in for another cannot: %s", sentence)
    return unusable


async def tell_of_pins(settings: Settings, accounts: AccountFolder, clients: "Sequence[ResponderClient]") -> None:
    """Logs what `check_pins` finds; for the start, when nothing may be due for weeks. Ends the clients."""
    try:
        await check_pins(settings, accounts, clients)
    finally:
        for client in clients:
            await client.close()


def _pins(settings: Settings, accounts: AccountFolder) -> tuple[tuple[Pin, ...], dict[str, str]]:
    """Of every CA that may be asked, in order of preference; and which of them have no usable key, and why."""
    pins: list[Pin] = []
    without: dict[str, str] = {}
    for ca in settings.all_cas():
        try:
            pins.append(_pin(ca, accounts))
        except SettingsError as error:
            without[ca.directory] = str(error)
    return tuple(pins), without


def _pin(ca: CaSettings, accounts: AccountFolder) -> Pin:
    return Pin(ca.name, ca.directory, account_thumbprint(accounts.account_key(ca.directory)))
