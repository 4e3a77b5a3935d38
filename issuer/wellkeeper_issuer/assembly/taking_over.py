"""Let a standby take over by itself: watch the lease of the engine, and promote this host once the issuer is lost.

    held, or the engine is away ──▶ free for some minutes ──▶ no node hears an issuer ──▶ lease taken ──▶ promoted

Nothing is left to a guess: whatever is unknown here is a reason to wait.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import records as wire
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.heartbeats import SILENT_SECONDS, read_heartbeat
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import decode_public_key, key_id
from wellkeeper_issuer.assembly import build, engines, fleets, promotion
from wellkeeper_issuer.fleet.lease import SECONDS, shown
from wellkeeper_issuer.fleet.reports import LATELY_SECONDS
from wellkeeper_issuer.fleet.vacancy import Vacancy
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.standby import Standby
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.agent.report import parse_report
from wellkeeper_node.errors import RecordsError
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.port import Engine
from wellkeeper_node.wording import format_exact_time

if TYPE_CHECKING:
    from wellkeeper_issuer.assembly.promotion import Looked
    from wellkeeper_issuer.ports.fleet import EnrolledNode
    from wellkeeper_node.settings import NodeSettings

Keys = Mapping[str, Ed25519PublicKey]


@dataclass(frozen=True, slots=True)
class Waits:
    """A reason to wait, in words. While `what` stays the same, the log does not repeat it.

    `is_expected` if it needs no person: an issuer works, or was lost a moment ago.
    """

    what: str
    why: str
    is_expected: bool = False


@dataclass(frozen=True, slots=True)
class Host:
    """This host: the settings of the backup, its mark, and its node."""

    settings: Settings
    standby: Standby
    node: "NodeSettings"


class TakingOver:
    """`look` is called every few seconds, each time with what is on disk then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._vacancy = Vacancy(clock)

    async def look(self, host: Host) -> Waits | None:
        """Take over if the issuer is lost: None; else return why this host waits. Raises WellkeeperError.

        A failure leaves a standby, which tries again with the next look.
        """
        engine = engines.issuer_records(host.settings, engines.required_address(host.settings))
        try:
            return await self.look_at(host, engine)
        except RecordsError as error:
            self._vacancy.end()
            return Waits("engine", f"cannot find out who holds the engine's lease: {error}")
        finally:
            await engine.close()

    async def look_at(self, host: Host, engine: Engine) -> Waits | None:
        """Do the same with this engine. Raises RecordsError, too, when it does not answer."""
        holder = await engine.holder()
        seconds = self._vacancy.note(is_free=holder is None)
        if holder is not None:
            why = f"the issuer holds the engine's lease: {shown(holder)}"
            return Waits(f"held by {holder}", why, is_expected=True)
        if seconds < (least := host.settings.fleet.engine.take_over_minutes * 60):
            at = format_exact_time(self._clock.now() + timedelta(seconds=least - seconds))
            why = f"no issuer holds the engine's lease; this host may take over from {at} on"
            return Waits("free", why, is_expected=True)
        looked = await promotion.look(host.settings, host.node, host.standby)
        doubts = [
            *looked.doubts,
            *_elsewhere(looked, host.settings),
            *_deaf(looked),
            *await self._heard_by_nodes(host, engine),
        ]
        if doubts:
            return Waits("doubts", f"no issuer holds the engine's lease, but {'; '.join(doubts)}")
        return await self._take(host, engine, looked)

    async def _take(self, host: Host, engine: Engine, looked: "Looked") -> Waits | None:
        lease = await engine.acquire(fleets.lease_holder(host.settings), SECONDS)
        if lease is None:
            return Waits("lease", "another standby has just taken the engine's lease", is_expected=True)
        try:
            await promotion.promote(host.settings, host.node, looked)
        except BaseException:
            with suppress(RecordsError):  # then it ends by itself
                await engine.extend(lease, 0)
            raise
        with suppress(RecordsError):
            await engine.extend(lease, SECONDS)  # until the daemon, which comes next, has it
        build.history(host.settings.state_dir).add(
            Happened(What.STANDBY_PROMOTED, host.standby.host, {"reason": "no issuer held the engine's lease"})
        )
        return None

    async def _heard_by_nodes(self, host: Host, engine: Engine) -> list[str]:
        """Return which issuers other nodes say that they have heard lately."""
        async with build.state_to_read(host.settings) as state:
            nodes = await state.fleet.read_nodes()
        keys = {key_id(key): key for key in FleetKeys(host.settings.state_dir).trusted}
        now, found = self._clock.now().timestamp(), list[str]()
        for name, one in nodes.items():
            stored = await engine.get(f"{Kind.REPORT}/{name}") if name != host.node.name else None
            if stored is not None:
                found += _heard(one, stored.value, keys, now)
        return found


def _elsewhere(looked: "Looked", settings: Settings) -> Iterator[str]:
    """Yield that the fleet may have moved to another engine, if so: no issuer has the lease of the former one."""
    engine = engines.for_nodes(engines.required_address(settings))
    if looked.relays and engine not in looked.relays:
        why = f"wellkeeper-node here does not follow {engine}, the engine of the backup"
        yield f"{why}: if the fleet has moved to another one or uses none, restore a newer backup"


def _deaf(looked: "Looked") -> Iterator[str]:
    """Yield that the silence of the agent means nothing, if so."""
    if looked.relays and all(looked.relays.values()):
        yield "wellkeeper-node here reaches neither a relay nor the engine, so it would hear no issuer"


def _heard(node: "EnrolledNode", message: bytes, fleet_keys: Keys, now: float) -> Iterator[str]:
    """Yield what the node has heard within five minutes, according to a report of the last minutes."""
    key = decode_public_key(node.signing_key)
    try:
        record = wire.check(message, {key_id(key): key}, Kind.REPORT, now)
        heartbeats = parse_report(node.name, record.body).heartbeats
    except (MessageError, ValueError):
        return  # another one wrote it: the nodes' user may write all reports
    if record.key != f"{Kind.REPORT}/{node.name}" or now - record.issued_at > LATELY_SECONDS:
        return
    yield from _issuers(node.name, heartbeats, fleet_keys, now)


def _issuers(node: str, heartbeats: Iterable[str], fleet_keys: Keys, now: float) -> Iterator[str]:
    for one in heartbeats:
        with suppress(MessageError):  # a node that lies stops nothing
            beat = read_heartbeat(one.encode(), fleet_keys, now)
            if (age := now - beat.at) <= SILENT_SECONDS:
                yield f"node {node} heard the issuer on {beat.issuer} {max(age, 0):.0f} s ago"
