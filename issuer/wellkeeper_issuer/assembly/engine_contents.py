"""Look after what an engine has of this fleet: wait until all of it is there, or delete it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import decode_public_key, key_id
from wellkeeper_issuer.assembly import build, engines, fleets
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.errors import ConflictError, RecordsError, UnavailableError
from wellkeeper_node.records.engine import EngineAddress
from wellkeeper_node.records.port import Records

if TYPE_CHECKING:
    from wellkeeper_node.records.engine_calls import EngineCalls

_FILL_SECONDS: Final = 15.0
# A daemon gives its lease up when it has read the new settings. One that has just lost it, such as by a failover, or
# that is busy with a renewal, lets it end.
_LEASE_WAIT_SECONDS: Final = 65.0
_LEASE_PAUSE_SECONDS: Final = 0.2
_LEASE_SECONDS: Final = 60
_LONGEST_EPOCH: Final = 64
_AT_ONCE: Final = 128

Keys = Mapping[str, Ed25519PublicKey]


@dataclass(frozen=True, slots=True)
class Cleared:
    """So many records were deleted; `why` others of ours may still be there, "" if none is."""

    count: int
    why: str = ""


async def wait_until_filled(settings: Settings, since: float, seconds: float = _FILL_SECONDS) -> bool:
    """Return whether the engine has the manifest in force, and node records that were signed since then, in time."""
    address = engines.engine_address(settings)
    if address is None or not has_state(settings.state_dir):
        return False
    async with build.state_to_read(settings) as state:
        missing = {f"{Kind.NODE}/{name}" for name in await state.fleet.read_nodes()}
    keys, manifests = fleet_keys(settings), fleets.disk(settings).manifests
    engine, manifest = engines.issuer_records(settings, address), b""
    try:
        async with asyncio.timeout(seconds), aclosing(engine.follow(Kind.NODE, Kind.MANIFEST)) as updates:
            while True:
                update = await anext(updates)
                missing -= {one.key for one in update.records if _is_new(one, keys, since)}
                manifest = next((one.value for one in update.records if one.key.startswith(Kind.MANIFEST)), manifest)
                kept = manifests.read()
                if not missing and (kept is None or kept.message == manifest):
                    return True
    except (TimeoutError, RecordsError):
        return False
    finally:
        await engine.close()


def _is_new(stored: Stored, keys: Keys, since: float) -> bool:
    if records.kind_of(stored.key) is not Kind.NODE:
        return False
    try:
        record = records.read(stored.value, keys, Kind.NODE)
    except MessageError:
        return False
    return record.key == stored.key and record.issued_at >= int(since)


async def leave(former: Settings, now: Settings, begins: Callable[[], None] = lambda: None) -> Cleared | None:
    """Delete what the engine of the former settings has of this fleet; None if there was none, or it is still in use.

    One server may have several addresses, such as that of Sentinels. `begins` is called before it takes long.
    """
    before, after = engines.engine_address(former), engines.engine_address(now)
    if before is None or (after and _place(before) == _place(after)):
        return None
    try:
        if after and await _epoch(former, before) == await _epoch(now, after):
            return None
    except (RecordsError, SettingsError) as error:
        return Cleared(0, str(error))
    begins()
    return await clear(former, before)


def _place(address: EngineAddress) -> tuple[object, ...]:
    return address.hosts, address.service, address.database, address.prefix


async def _epoch(settings: Settings, address: EngineAddress) -> bytes:
    """Return the random id of what the engine has, b"" without one. Raises RecordsError and SettingsError."""
    calls, _ = engines.calls(settings, address)
    from wellkeeper_node.records.engine_keys import EPOCH

    try:
        (found,) = await calls.ask(("GETRANGE", calls.key(EPOCH), 0, _LONGEST_EPOCH))
    finally:
        await calls.close()
    if not isinstance(found, bytes):
        raise UnavailableError(f"cannot compare {calls.name} with the other one", str(found))
    return found


async def clear(settings: Settings, address: EngineAddress, lease_seconds: float = _LEASE_WAIT_SECONDS) -> Cleared:
    """Delete the records that this fleet has signed, once no issuer feeds the engine. What fails is in the result."""
    try:
        of_issuer, _ = engines.calls(settings, address)
        nodes = await _node_keys(settings)
    except SettingsError as error:
        return Cleared(0, str(error))
    try:
        return await _clear(of_issuer, fleet_keys(settings), nodes, lease_seconds)
    except RecordsError as error:
        return Cleared(0, str(error))
    finally:
        await of_issuer.close()


async def _clear(calls: "EngineCalls", fleet_keys: Keys, nodes: Mapping[str, Keys], lease_seconds: float) -> Cleared:
    from wellkeeper_node.clock import SystemClock
    from wellkeeper_node.records.engine_keys import EPOCH
    from wellkeeper_node.records.valkey import ValkeyRecords

    engine = ValkeyRecords(calls, SystemClock(), "")
    lease = await _acquire(engine, lease_seconds)
    if lease is None:
        return Cleared(0, "an issuer still feeds it")
    ours, others = await _read(engine, fleet_keys, nodes)
    kept = [key for some in _parts(ours) for key in await delete(engine, lease, some)]
    if not others and not kept:
        await calls.ask(("DEL", calls.key(EPOCH)))
    await engine.extend(lease, 0)
    return Cleared(len(ours) - len(kept))


async def _acquire(engine: Records, seconds: float) -> str | None:
    """Return the lease, or None if another issuer has it for so long."""
    tries = max(1, round(seconds / _LEASE_PAUSE_SECONDS))
    for _ in range(tries):
        lease = await engine.acquire("engine use --none", _LEASE_SECONDS)
        if lease is not None:
            return lease
        await asyncio.sleep(_LEASE_PAUSE_SECONDS)
    return None


async def _read(engine: Records, fleet_keys: Keys, nodes: Mapping[str, Keys]) -> tuple[list[tuple[str, str]], int]:
    """Return keys and versions of our records, and the number of those of others."""
    ours, others = [], 0
    async with aclosing(engine.follow(*Kind)) as updates:
        async for update in updates:
            for one in update.records:
                if _is_ours(one, fleet_keys, nodes):
                    ours.append((one.key, one.version))
                else:
                    others += 1
            if update.is_whole:
                break
    return ours, others


def _is_ours(stored: Stored, fleet_keys: Keys, nodes: Mapping[str, Keys]) -> bool:
    kind = records.kind_of(stored.key)
    keys = nodes.get(records.node_of(stored.key), {}) if kind is Kind.REPORT else fleet_keys
    try:
        return records.read(stored.value, keys, kind).key == stored.key
    except MessageError:
        return False


def _parts(ours: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    return (ours[first : first + _AT_ONCE] for first in range(0, len(ours), _AT_ONCE))


async def delete(engine: Records, lease: str, some: Sequence[tuple[str, str]]) -> list[str]:
    """Delete these versions of these keys, and return the keys that have another one. Raises RecordsError."""
    await engine.extend(lease, _LEASE_SECONDS)
    are_gone = await asyncio.gather(*(_is_deleted(engine, lease, *one) for one in some))
    return [key for (key, _), is_gone in zip(some, are_gone, strict=True) if not is_gone]


async def _is_deleted(engine: Records, lease: str, key: str, version: str) -> bool:
    try:
        await engine.delete(key, expected=version, lease=lease)
    except ConflictError:
        return False
    return True


def fleet_keys(settings: Settings) -> Keys:
    keys = FleetKeys(settings.state_dir)
    former = keys.former
    return {key_id(key): key for key in (*keys.trusted, *((former,) if former else ()))}


async def _node_keys(settings: Settings) -> Mapping[str, Keys]:
    """Return the key of each node, as its reports are signed."""
    if not has_state(settings.state_dir):
        return {}
    async with build.state_to_read(settings) as state:
        nodes = await state.fleet.read_nodes()
    public = {name: decode_public_key(one.signing_key) for name, one in nodes.items()}
    return {name: {key_id(key): key} for name, key in public.items()}
