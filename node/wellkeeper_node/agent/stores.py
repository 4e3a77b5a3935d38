"""Open what this node follows: the relays of its settings, and the engine that the issuer names, if any."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wellkeeper_node import durable
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.bundles.engine_access import EngineAccess
from wellkeeper_node.errors import InstallError, RecordsError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.engine import EngineAddress, open_records, parse_engine
from wellkeeper_node.records.port import KeptRecords, NodeRecords
from wellkeeper_node.records.relay import Reader, RelayRecords
from wellkeeper_node.settings import NodeSettings

_log = logging.getLogger(__name__)

CA_FILE: Final = "engine_ca.pem"
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Store:
    """A relay or an engine with its address; `clock_ahead` are the seconds between the clock here and its own."""

    kind: str
    name: str
    records: NodeRecords
    clock_ahead: Callable[[], float | None] = lambda: None


@asynccontextmanager
async def opened_stores(
    settings: NodeSettings, keys: NodeKeys, access: EngineAccess | None, clock: Clock
) -> AsyncIterator[list[Store]]:
    """Yield them, the engine last; one that cannot be used here is logged. Raises FleetError and InstallError."""
    async with AsyncExitStack() as stack:
        following = keys.following
        reader, other = (Reader(settings.name, one.signing_key) if one else None for one in (keys, following))
        stores = []
        for address in settings.relays:
            relay = RelayRecords(address, clock, reader, other_reader=other)
            stack.push_async_callback(relay.close)
            stores.append(_of_relay(address, relay))
        records = _engine(settings, access, clock) if access is not None else None
        if access is not None and records is not None:
            stack.push_async_callback(records.close)
            stores.append(Store("engine", access.address, records))
        yield stores


def _of_relay(address: str, relay: RelayRecords) -> Store:
    return Store("relay", address, relay, lambda: relay.clock_ahead_seconds)


def _engine(settings: NodeSettings, access: EngineAccess, clock: Clock) -> KeptRecords | None:
    try:
        address = _with_ca(parse_engine(access.address), access.ca_pem, settings.state_dir / CA_FILE)
        return open_records(
            address,
            access.user,
            access.password,
            clock,
            node=settings.name,
            sentinel_user=access.sentinel_user,
            sentinel_password=access.sentinel_password,
        )
    except (RecordsError, InstallError, ValueError) as error:
        _log.error("this node follows only its relays: %s", error)
        return None


def _with_ca(address: EngineAddress, ca_pem: str, path: Path) -> EngineAddress:
    if not ca_pem:
        return address
    with durable.translated(path):
        if not (path.exists() and path.read_bytes() == ca_pem.encode()):
            durable.replace_whole(path, ca_pem.encode(), _MODE)
    return replace(address, ca_file=str(path))
