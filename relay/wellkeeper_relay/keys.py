"""The public keys that a relay knows, and the checks with them: of permits, and of records before they are stored.

The fleet keys are settings. The keys of nodes come with the nodes' records, which a fleet key signed. To check a
signature takes a quarter of a millisecond, so the checks that strangers can cause are limited, for each address and for
all of them; the last permit of a node that was checked costs nothing, and its connections count for it.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import compact_jws, records, relay_wire
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import key_id
from wellkeeper_client.wire import WireError
from wellkeeper_relay.budget import Budget
from wellkeeper_responder.clock import Clock

STRANGERS_CHECKS: Final = 100
CHECKS_PER_PEER: Final = 10
NODES_CHECKS: Final = 50
_MOST_PEERS: Final = 1024
_STATUSES: Final = {"too-large": 413, "malformed": 400, "version": 400}
_BUSY_HEADERS: Final = {"Retry-After": "1"}


class Keys:
    """Fleet keys and nodes' keys, by key id."""

    def __init__(self, fleet_keys: Iterable[Ed25519PublicKey], clock: Clock) -> None:
        self._fleet = {key_id(key): key for key in fleet_keys}
        self._clock = clock
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._ids: dict[str, str] = {}
        # The last one of each node, so that no node displaces those of others.
        self._permits: dict[str, tuple[str, float]] = {}
        self._permit_of: dict[str, str] = {}
        self._strangers = Budget(STRANGERS_CHECKS, clock.monotonic)
        self._of_peer: OrderedDict[str, Budget] = OrderedDict()
        self._of_node: dict[str, Budget] = {}

    @property
    def fleet_key_ids(self) -> tuple[str, ...]:
        return tuple(self._fleet)

    def enrol(self, node: str, key: Ed25519PublicKey) -> bool:
        """Let the node read and report with this key only; return whether that is new."""
        kid = key_id(key)
        if self._ids.get(node) == kid:
            return False
        self.forget(node)
        self._keys[kid], self._ids[node] = key, kid
        self._of_node[node] = Budget(NODES_CHECKS, self._clock.monotonic)
        return True

    def forget(self, node: str) -> None:
        """Refuse the node from now on; idempotent."""
        kid = self._ids.pop(node, None)
        if kid is not None:
            self._permits.pop(self._permit_of.pop(node, ""), None)
            del self._of_node[node]
            if kid not in self._ids.values():
                del self._keys[kid]

    def check_permit(self, permit: str, peer: str, known: str | None) -> str:
        """Return the node whose permit this is; `peer` sent it. Raises WireError.

        `known` is the node of a valid one that came over the same connection before.
        """
        now = self._clock.timestamp()
        node, ends_at = self._permits.get(permit, ("", 0.0))
        if now <= ends_at:
            return node
        try:
            node, ends_at = self._verified(permit.encode("utf-8", "surrogateescape"), now, peer, known)
        except MessageError as error:
            raise refusal(error) from error
        self._permits.pop(self._permit_of.get(node, ""), None)
        self._permits[permit] = node, ends_at + relay_wire.PERMIT_SKEW_SECONDS
        self._permit_of[node] = permit
        return node

    def check_record(self, key: str, message: bytes) -> Record:
        """Return the record to be stored under this key. Raises WireError."""
        try:
            kind = records.kind_of(key)
            record = records.check(message, self._signers(key, kind), kind, self._clock.timestamp())
        except MessageError as error:
            raise refusal(error) from error
        if record.key != key:
            raise WireError(400, "malformed", f"claim 'key' is {record.key!r:.60}, not the key in the path")
        return record

    def take_check(self, node: str) -> None:
        """Count a check that this node causes. Raises WireError 429."""
        if not self._of_node[node].take():
            raise busy()

    def take_stranger(self, peer: str) -> None:
        """Count a request that costs something and comes without a permit. Raises WireError 429."""
        if not self._may_stranger_check(peer):
            raise busy()

    def _signers(self, key: str, kind: Kind) -> dict[str, Ed25519PublicKey]:
        if kind is Kind.JOIN:  # not signed; `joins` stores it
            return {}
        if kind is not Kind.REPORT:
            return self._fleet
        kid = self._ids.get(records.node_of(key))
        return {kid: self._keys[kid]} if kid else {}

    def _verified(self, message: bytes, now: float, peer: str, known: str | None) -> tuple[str, float]:
        # With the id alone: an unknown one costs no signature check and is not counted.
        kid = compact_jws.key_id_of(message, relay_wire.LONGEST_PERMIT)
        if kid in self._keys and not self._may_check(peer, known):
            raise busy()
        node, ends_at = relay_wire.check_permit(message, self._keys, now)
        if self._ids.get(node) != kid:
            raise MessageError("unknown-key", "the permit names another node than its key")
        return node, ends_at

    def _may_check(self, peer: str, known: str | None) -> bool:
        budget = self._of_node.get(known) if known else None
        return budget.take() if budget else self._may_stranger_check(peer)

    def _may_stranger_check(self, peer: str) -> bool:
        network = _network(peer)
        if network not in self._of_peer and len(self._of_peer) >= _MOST_PEERS:
            self._of_peer.popitem(last=False)
        budget = self._of_peer.setdefault(network, Budget(CHECKS_PER_PEER, self._clock.monotonic))
        return budget.take() and self._strangers.take()


def refusal(error: MessageError) -> WireError:
    """Return the error as the relay answers it."""
    return WireError(_STATUSES.get(error.name, 401), error.name, error.detail)


def busy() -> WireError:
    """Return the answer to more than the relay does at once."""
    return WireError(429, "busy", "too much at once; repeat it in a second", _BUSY_HEADERS)


def _network(peer: str) -> str:
    """Return the peer; of an IPv6 address its /64 network, in which one host has all addresses that it wants."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:  # the user of a unix socket
        return peer
    return peer if address.version == 4 else f"{int(address) >> 64:x}"
