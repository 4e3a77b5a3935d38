"""The dependencies of `fleet.Fleet`."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client.heartbeats import UNNAMED, IssuerId
from wellkeeper_issuer.fleet.distribution import Disk
from wellkeeper_issuer.fleet.fleet_history import Delivered
from wellkeeper_issuer.fleet.joins import Joins
from wellkeeper_issuer.fleet.lease import LeasedRecords
from wellkeeper_issuer.fleet.restored import CatchingUp
from wellkeeper_issuer.ports.fleet import FleetRecords
from wellkeeper_node.bundles.engine_access import EngineAccess
from wellkeeper_node.happened import NO_HISTORY, History
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.port import Records

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Deps:
    """The dependencies of a fleet. `lineages` are the names of the certificates in the settings.

    `notify` and `forget` are called each minute; with `joins`, invited nodes may join. `has_others` as in
    `RelayedResponder`, and `fleet_keys` as in `Distribution`. An `engine` gets what the relay gets, and nodes the
    `access` to it.
    """

    relay: Records
    fleet_key: Ed25519PrivateKey
    disk: Disk
    records: FleetRecords
    clock: Clock
    lineages: Collection[str]
    notify: Callable[["Fleet"], Awaitable[None]] | None = None
    joins: Joins | None = None
    has_others: bool = True
    fleet_keys: tuple[str, ...] = ()
    own: IssuerId = UNNAMED
    catching_up: CatchingUp | None = None
    forget: Callable[["Fleet"], Awaitable[None]] | None = None
    history: History = NO_HISTORY
    engine: LeasedRecords | None = None
    access: EngineAccess | None = None
    delivered: Delivered = lambda _: ()
