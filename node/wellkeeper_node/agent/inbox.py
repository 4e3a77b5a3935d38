"""Accept records from relays: those that a fleet key signed, that are for this node, and newer than those before."""

import logging
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError, malformed
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_node.complaints import Complaints
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

# Of one version, that a node keeps: a relay may repeat one that does not open any more.
MOST_WRAPS: Final = 4
_OF_ONE_NODE: Final = frozenset({Kind.NODE, Kind.WRAP})


class Inbox:
    """The gate for records of all relays; it remembers the highest number of each key."""

    def __init__(self, node: str, fleet_keys: Mapping[str, Ed25519PublicKey], clock: Clock) -> None:
        self._node = node
        self._fleet_keys = fleet_keys
        self._clock = clock
        # Number, end, and the last versions with this number.
        self._numbers: dict[str, tuple[int, int, tuple[str, ...]]] = {}
        self._complaints = Complaints(_log, clock)

    def __len__(self) -> int:
        """Return how many keys it remembers."""
        return len(self._numbers)

    def take(self, stored: Stored) -> Record | None:
        """Return the record if it is valid and new. A forged, foreign or expired one is logged once; never raises."""
        try:
            record = self._check(stored)
        except MessageError as error:
            self._complaints.say(f"ignored the record {stored.key!r:.80}: {error.detail}")
            return None
        known = self._numbers.get(record.key)
        # A wrap is made again, under the same number, when the bundle or the node's key was.
        least = known[0] + (record.kind is not Kind.WRAP) if known else 0
        versions = known[2] if known and record.number == known[0] else ()
        if record.number < least or stored.version in versions:
            return None
        if record.kind is Kind.PUBLICATION:
            self._forget_expired()
        self._numbers[record.key] = record.number, record.expires_at, (stored.version, *versions)[:MOST_WRAPS]
        return record

    def _check(self, stored: Stored) -> Record:
        kind, now = records.kind_of(stored.key), self._clock.now().timestamp()
        # Only publications end by their dates: the manifest decides about the rest, whatever the clock says here.
        if kind is Kind.PUBLICATION:
            record = records.check(stored.value, self._fleet_keys, kind, now)
        else:
            record = records.read(stored.value, self._fleet_keys, kind)
        if record.key != stored.key:
            raise malformed(f"it is the record {record.key!r:.80}")
        if kind in _OF_ONE_NODE and records.node_of(record.key) != self._node:
            raise malformed("it is for another node")
        return record

    def _forget_expired(self) -> None:
        """Forget publications that a check refuses anyway; the other keys are few and live long."""
        limit = self._clock.now().timestamp() - Kind.PUBLICATION.lifetime_seconds
        for key in [key for key, (_, expires_at, _) in self._numbers.items() if expires_at < limit]:
            if records.kind_of(key) is Kind.PUBLICATION:
                del self._numbers[key]
