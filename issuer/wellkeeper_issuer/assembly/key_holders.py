"""Find out which nodes trust a key: responders are asked, nodes of the fleet have reported it, the relay is asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_client.signing import key_id
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.keys.pins import Holder
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import PublishError, WellkeeperError

if TYPE_CHECKING:
    from wellkeeper_node.agent.report import Report
    from wellkeeper_node.records.relay import RelayRecords


class KeyKind(StrEnum):
    """The keys that nodes must trust before they are used."""

    PUBLISHING = "publishing"
    FLEET = "fleet"
    ACCOUNT = "account"


RELAY: Final = "the relay"
_MEMBERS: Final = {
    KeyKind.PUBLISHING: "publishing_key_ids",
    KeyKind.FLEET: "fleet_key_ids",
    KeyKind.ACCOUNT: "account_thumbprints",
}


async def find_lacking(settings: Settings, kind: KeyKind, wanted: str) -> Mapping[str, str]:
    """Return, by node, why it does not trust the key with this id or thumbprint. Raises SettingsError."""
    async with holders(settings, kind) as found:
        whys = await asyncio.gather(*(_why(one, _MEMBERS[kind], wanted) for one in found))
    return {one.node: why for one, why in zip(found, whys, strict=True) if why}


@asynccontextmanager
async def holders(settings: Settings, kind: KeyKind) -> AsyncIterator[Sequence[Holder]]:
    """Yield all that must trust a key of this kind, and close connections on leaving. Raises SettingsError."""
    async with AsyncExitStack() as stack:
        asked: list[Holder] = []
        if kind is KeyKind.FLEET:
            asked += [await stack.enter_async_context(_relay(settings))] if settings.fleet.listen else []
        else:
            for client in build.responder_clients(settings):
                stack.push_async_callback(client.close)
                asked.append(client)
        yield [*asked, *await _of_fleet(settings, kind)]


async def _why(holder: Holder, member: str, wanted: str) -> str:
    try:
        trusted = (await holder.status()).get(member)
    except WellkeeperError as error:
        return str(error)
    return "" if isinstance(trusted, list) and wanted in trusted else "it does not trust the key yet"


@dataclass(frozen=True, slots=True)
class _ReportingNode:
    """A node of the fleet. Its agent reads the trust file every few seconds, and asks the responder each minute."""

    node: str
    report: "Report | None"
    address: str = "by its reports"

    async def status(self) -> Mapping[str, Any]:
        if self.report is None:
            raise PublishError(f"node {self.node!r} has not reported yet")
        responder = self.report.responder
        return {
            _MEMBERS[KeyKind.PUBLISHING]: list(responder.publishing_key_ids),
            _MEMBERS[KeyKind.ACCOUNT]: list(responder.thumbprints),
            _MEMBERS[KeyKind.FLEET]: list(self.report.fleet_key_ids),
        }


async def _of_fleet(settings: Settings, kind: KeyKind) -> list[_ReportingNode]:
    """Return the nodes that joined; those that answer no challenges need only the fleet key.

    Ephemeral ones that are gone are left out.
    """
    if not has_state(settings.state_dir):
        return []
    from wellkeeper_issuer.fleet.node_status import is_gone
    from wellkeeper_issuer.fleet.reports import read_seen

    now = SystemClock().now()
    async with build.state_to_read(settings) as state:
        nodes, reports = await state.fleet.read_nodes(), await state.fleet.read_reports()
    found = [(one, reports.get(one.name)) for one in nodes.values() if one.answers or kind is KeyKind.FLEET]
    return [
        _ReportingNode(node.name, read_seen(last).report if last else None)
        for node, last in found
        if not is_gone(node, last.at if last else None, now)
    ]


@dataclass(frozen=True, slots=True)
class _Relay:
    """The relay of this host, which is not a node but must know the fleet keys, too."""

    records: "RelayRecords"
    address: str
    node: str = RELAY

    async def status(self) -> Mapping[str, Any]:
        return await self.records.status()


async def has_stale_relay(settings: Settings) -> bool:
    """Return whether the relay runs with other fleet keys than those on disk. Raises SettingsError."""
    async with _relay(settings) as relay:
        try:
            known = (await relay.status()).get(_MEMBERS[KeyKind.FLEET])
        except WellkeeperError:
            return False
    return known != [key_id(key) for key in FleetKeys(settings.state_dir).trusted]


@asynccontextmanager
async def _relay(settings: Settings) -> AsyncIterator[_Relay]:
    from wellkeeper_node.records.relay import RelayRecords

    records = RelayRecords(settings.fleet.relay, SystemClock())
    try:
        yield _Relay(records, settings.fleet.relay)
    finally:
        await records.close()
