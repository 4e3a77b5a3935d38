"""Find the CAs whose account a responder does not trust, at the start and not on the day they are needed."""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_issuer.outside.keys.pins import Pin, Unpinned, find_unpinned
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.ca_tables import CaSettings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import PublishError

if TYPE_CHECKING:
    from wellkeeper_node.responders.client import ResponderClient

_log = logging.getLogger(__name__)

# A responder looks at its trust file every second.
_TAKEN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1


def wanted_pins(settings: Settings, accounts: AccountFolder) -> tuple[Pin, ...]:
    """Return one pin per configured CA, in order of preference; raises SettingsError when a key is missing."""
    return tuple(_pin(ca, accounts) for ca in settings.all_cas())


async def check_pins(
    settings: Settings, accounts: AccountFolder, clients: "Sequence[ResponderClient]"
) -> Mapping[str, str]:
    """Return, by the CA's directory, why it cannot be asked now: with node, thumbprint and remedy. Each is logged.

    The CA's account key is missing, or a responder lacks its thumbprint. A responder that does not answer is ignored
    here: it may answer when a token is published.
    """
    pins, unusable = all_pins(settings, accounts)
    found: list[Unpinned] = []
    for client in clients:
        try:
            found += await find_unpinned(pins, client)
        except PublishError as error:
            _log.warning("cannot ask a responder which accounts it trusts: %s", error)
    for pin in pins:
        lacking = [str(one) for one in found if one.pin == pin]
        if lacking:
            unusable[pin.directory_url] = "; ".join(lacking)
    preferred = settings.all_cas()[0].directory
    for directory_url, sentence in unusable.items():
        if directory_url == preferred:
            _log.error("cannot use the preferred CA: %s", sentence)
        else:
            _log.warning("cannot use a fallback CA: %s", sentence)
    return unusable


async def log_unpinned(settings: Settings, accounts: AccountFolder, clients: "Sequence[ResponderClient]") -> None:
    """Log what `check_pins` finds, at the start, as nothing may be due for weeks. Closes the clients."""
    try:
        await check_pins(settings, accounts, clients)
    finally:
        for client in clients:
            await client.close()


async def await_trust(wanted: frozenset[str], clients: "Sequence[ResponderClient]") -> dict[str, str]:
    """Wait until all responders trust these thumbprints and key ids; return by node why one does not, else "".

    Closes the clients.
    """
    try:
        reasons = await asyncio.gather(*(_await_trust_of(client, wanted) for client in clients))
    finally:
        for client in clients:
            await client.close()
    return {client.node: reason for client, reason in zip(clients, reasons, strict=True)}


async def _await_trust_of(client: "ResponderClient", wanted: frozenset[str]) -> str:
    clock = SystemClock()
    until = clock.monotonic() + _TAKEN_SECONDS
    while True:
        try:
            status = await client.status()
        except PublishError as error:
            return f"{error.what}: {error.why}" if error.why else error.what
        if wanted <= set(_trusted(status)):
            return ""
        if clock.monotonic() >= until:
            return f"the responder of node {client.node!r} does not trust these values: check its log and its --trust"
        await clock.sleep(_POLL_SECONDS)


def id_of_publishers(members: object) -> str:
    """Return a text that differs unless two lists of publishers are the same; earlier responders report none."""
    return json.dumps(members or [], sort_keys=True)


def _trusted(status: Mapping[str, Any]) -> Iterator[str]:
    """Yield thumbprints, key ids and the id of all publishers that a responder reports."""
    for member in ("account_thumbprints", "publishing_key_ids"):
        values = status.get(member)
        yield from (one for one in values if isinstance(one, str)) if isinstance(values, list) else ()
    yield id_of_publishers(status.get("publishers"))


def all_pins(settings: Settings, accounts: AccountFolder) -> tuple[tuple[Pin, ...], dict[str, str]]:
    """Return the pins of all configured CAs, and why the others have no usable key, by directory."""
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
