"""Get the bundles that the manifest lists from the relays, and open them with this node's key."""

from collections.abc import Sequence

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.records import Kind, Record
from wellkeeper_node.agent.inbox import MOST_WRAPS
from wellkeeper_node.bundles.manifest import Entry, Manifest
from wellkeeper_node.bundles.model import Bundle, bundle_key, read_sealed
from wellkeeper_node.bundles.opening import Opener
from wellkeeper_node.errors import FleetError, RecordsError, WrongBundleError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.port import Records


class NotYetError(FleetError):
    """The bundle or its wrap has not arrived here; another try is made when it may have."""


class Fetching:
    """The way to bundles. `take_wrap` gets each wrap for this node, checked by the inbox."""

    def __init__(self, opener: Opener, relays: Sequence[Records], clock: Clock) -> None:
        self._opener = opener
        # Those that did not answer come last: each costs seconds, and hundreds of bundles may be due.
        self._relays = list(relays)
        self._clock = clock
        # Those of the newest version, the last one first.
        self._wraps: dict[str, tuple[int, tuple[bytes, ...]]] = {}

    @property
    def wrapped(self) -> frozenset[str]:
        """The lineages that were sealed for this node."""
        return frozenset(self._wraps)

    def take_wrap(self, record: Record, message: bytes) -> None:
        lineage = record.key.split("/")[2]
        number, wraps = self._wraps.get(lineage, (0, ()))
        self._wraps[lineage] = record.number, (message, *(wraps if number == record.number else ()))[:MOST_WRAPS]

    async def bundle(self, lineage: str, manifest: Manifest) -> Bundle:
        """Return the version that the manifest lists, checked.

        Raises NotYetError, WrongBundleError, and FleetError for what cannot be used here.
        """
        entry, what = manifest.lineages[lineage], f"cannot open the bundle of {lineage}"
        number, wraps = self._wraps.get(lineage, (0, ()))
        if number != entry.version.number:
            known = f"only version {number} is" if number else "nothing is"
            raise NotYetError(what, f"{known} sealed for this node, the manifest lists version {entry.version.number}")
        why = "the relay does not have it"
        for relay in tuple(self._relays):
            try:
                stored = await relay.get(bundle_key(lineage))
            except RecordsError as error:
                why = str(error)
                self._relays.sort(key=lambda one: one is relay)
                continue
            if stored is not None and self._is_listed(stored.value, entry):
                return self._open(lineage, manifest, stored.value, wraps)
        raise NotYetError(what, why)

    def _open(self, lineage: str, manifest: Manifest, message: bytes, wraps: Sequence[bytes]) -> Bundle:
        """Open it with the first wrap that fits. Raises FleetError, of the last one that came if none does."""
        failures: list[FleetError] = []
        for wrap in wraps:
            try:
                return self._opener.open(lineage, manifest, (message, wrap), self._clock.now())
            except WrongBundleError:  # after it opened
                raise
            except FleetError as error:
                failures.append(error)
        raise failures[0]

    def _is_listed(self, message: bytes, entry: Entry) -> bool:
        """Return whether it is the bundle of the manifest, and not an older one or something made up."""
        try:
            sealed = read_sealed(records.read(message, self._opener.fleet_keys, Kind.BUNDLE))
        except (MessageError, ValueError):
            return False
        return (sealed.version, sealed.sha256) == (entry.version, entry.ciphertext_sha256)
