"""A CA that no responder is pinned to is found out at the start, not on the day it is needed."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from issuer.errors import PublishError
from issuer.outside.accounts import AccountFolder
from issuer.outside.key_files import account_thumbprint
from issuer.outside.pins import Pin, Unpinned, find_unpinned
from issuer.settings import Settings

if TYPE_CHECKING:
    from issuer.outside.responder_client import ResponderClient

_log = logging.getLogger(__name__)


def wanted_pins(settings: Settings, accounts: AccountFolder) -> tuple[Pin, ...]:
    """One for each CA that may be asked, in order of preference; raises SettingsError when a key is missing."""
    return tuple(
        Pin(ca.name, ca.directory, account_thumbprint(accounts.account_key(ca.directory))) for ca in settings.all_cas()
    )


async def check_pins(
    settings: Settings, accounts: AccountFolder, clients: "Sequence[ResponderClient]"
) -> Mapping[str, str]:
    """By the CA's directory: why it must not be asked now, naming node, thumbprint and remedy. Each is logged.

    Raises PublishError when it is the preferred CA of the settings, and SettingsError when a key is missing. A
    responder that cannot be asked is left to whoever publishes: it may be there by then.
    """
    pins = wanted_pins(settings, accounts)
    found: list[Unpinned] = []
    for client in clients:
        try:
            found += await find_unpinned(pins, client)
        except PublishError as error:
            _log.warning("what it is pinned to is not known: %s", error)
    by_url: dict[str, str] = {}
    for pin in pins:
        missing = [str(one) for one in found if one.pin == pin]
        if missing:
            by_url[pin.directory_url] = "; ".join(missing)
    preferred = pins[0].directory_url
    if preferred in by_url:
        raise PublishError(by_url[preferred])
    for sentence in by_url.values():
        _log.warning("this CA cannot stand in for another: %s", sentence)
    return by_url
