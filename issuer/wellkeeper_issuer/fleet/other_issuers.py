"""Notice that another issuer feeds the same fleet, from what nodes and the relay heard of it.

    one issuer ──▶ two: both say so ──▶ the older one orders and lists nothing until the newer one is silent

This happens when the issuer of which a standby was promoted comes back. Only what a fleet key signed counts: a node or
relay that lies cannot stop an issuer.
"""

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.heartbeats import SILENT_SECONDS, Heartbeat, IssuerId, read_heartbeat
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Record
from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.fleet.lease import LeasedRecords
from wellkeeper_issuer.fleet.reports import Reports, Seen
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_time

_log = logging.getLogger(__name__)

# Nodes that follow the relay report within a minute, after an outage within seconds.
_GREETING_SECONDS: Final = 10.0


class OtherIssuers:
    """The issuers beside this one, `own`. `keys` are fleet keys by key id, `lease` that of the engine, if any."""

    def __init__(
        self,
        own: IssuerId,
        keys: Mapping[str, Ed25519PublicKey],
        reports: Reports,
        clock: Clock,
        lease: LeasedRecords | None = None,
    ) -> None:
        self._own = own
        self._lease = lease
        self._keys = keys
        self._reports = reports
        self._clock = clock
        # From the relay, which has one heartbeat at a time.
        self._heard = deque[str](maxlen=4)
        self._warning = ""
        self._has_waited = False
        if lease is not None:
            lease.give_way_while(self._is_older)

    def hear(self, stored: Stored) -> None:
        """Take a heartbeat that is in the relay."""
        self._heard.append(stored.value.decode("ascii", "replace"))

    def heartbeat(self) -> Record:
        """Return the heartbeat of this issuer."""
        return Heartbeat(self._own, int(self._clock.now().timestamp())).to_record()

    @property
    def active(self) -> tuple[IssuerId, ...]:
        """The other issuers that were heard in the last minutes, the newest first."""
        lately = [one for name, one in self._reports.last.items() if self._reports.is_lately_heard(name)]
        return find_others([*self._heard, *heartbeats_in(lately)], self._keys, self._own, self._clock.now())

    @property
    def is_replaced(self) -> bool:
        """True while a newer issuer is active, or another one has the lease."""
        return (self._lease is not None and self._lease.is_taken) or self._is_older()

    async def confirm(self) -> None:
        """Let `is_replaced` be true if another issuer took the lease while this process was paused."""
        if self._lease is not None:
            await self._lease.confirm()

    @property
    def warning(self) -> str:
        """A sentence that says what is wrong, "" while this issuer is the only one."""
        return describe(self._own, self.active)

    def warn(self) -> None:
        """Log a change."""
        warning = self.warning
        if warning and warning != self._warning:
            _log.error("%s", warning)
        elif self._warning and not warning:
            _log.info("no other issuer feeds this fleet now")
        self._warning = warning

    async def hear_nodes(self) -> None:
        """Wait once for the nodes that have not reported lately, but not for long."""
        if not self._has_waited:
            await self._reports.until(self._has_heard_all, _GREETING_SECONDS)
            self._has_waited = True

    async def have_replaced(self) -> bool:
        """Return whether another issuer acts instead of this one, once nodes could say so."""
        await self.hear_nodes()
        await self.confirm()
        return self.is_replaced

    async def check(self) -> None:
        """Raise DeferredError while another issuer acts instead of this one: it renews."""
        await self.have_replaced()
        self.permit()

    def permit(self) -> None:
        """Do the same by what is known already."""
        if self.is_replaced:
            retry_at = self._clock.now() + timedelta(seconds=SILENT_SECONDS)
            what = "nothing is ordered here"
            why = self.warning or "another issuer holds the engine's lease"
            raise DeferredError(what, why, "Stop the issuer that was replaced.", retry_at=retry_at)

    def _has_heard_all(self) -> bool:
        return all(map(self._reports.is_lately_heard, self._reports.nodes))

    def _is_older(self) -> bool:
        return any(map(self._is_newer, self.active))

    def _is_newer(self, other: IssuerId) -> bool:
        return (other.since, other.id) > (self._own.since, self._own.id)


def find_others(
    messages: Iterable[str], keys: Mapping[str, Ed25519PublicKey], own: IssuerId, now: datetime
) -> tuple[IssuerId, ...]:
    """Return the other issuers that sent these heartbeats in the last minutes, the newest first."""
    beats = [beat for one in set(messages) if (beat := _read(one, keys, now)) and beat.issuer.id != own.id]
    # What was sent before this one became the issuer is from the one that it replaced.
    least = max(now.timestamp() - SILENT_SECONDS, own.since + 1)
    found = {one.issuer.id: one.issuer for one in beats if one.at >= least}
    return tuple(sorted(found.values(), key=lambda one: (-one.since, one.id)))


def heartbeats_in(reports: Iterable[Seen]) -> list[str]:
    """Return the heartbeats of all issuers that these nodes heard."""
    return [message for seen in reports for message in seen.report.heartbeats]


def describe(own: IssuerId, others: Iterable[IssuerId]) -> str:
    """Return what is wrong when there are others, else ""."""
    every = sorted([own, *others], key=lambda one: (one.since, one.id))
    if len(every) == 1:
        return ""
    since = format_time(datetime.fromtimestamp(every[-1].since, UTC))
    names = " and ".join(map(str, every))
    return f"several issuers feed this fleet: {names}; stop all but {every[-1]}, the issuer since {since}"


def _read(message: str, keys: Mapping[str, Ed25519PublicKey], now: datetime) -> Heartbeat | None:
    try:
        return read_heartbeat(message.encode(), keys, now.timestamp())
    except MessageError:
        return None
