"""The manifest in force on this node: the highest that it has seen, on disk."""

import asyncio
import logging
from collections.abc import Callable

from wellkeeper_client import compact_jws, records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_node.agent.learned_keys import LearnedKeys
from wellkeeper_node.bundles.kept import Kept, ManifestFile
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Manifest
from wellkeeper_node.complaints import Complaints
from wellkeeper_node.errors import FleetError, InstallError, OlderManifestError
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)


class Manifests:
    """`concern` says why the last one that came is not in force, unless it is just older.

    `notify` is called when it begins and ends. `keys` learn the fleet keys that a manifest names.
    """

    def __init__(
        self, file: ManifestFile, clock: Clock, notify: Callable[[], None], keys: LearnedKeys | None = None
    ) -> None:
        self._file = file
        self._keys = keys
        self._notify = notify
        self._complaints = Complaints(_log, clock, logging.ERROR)
        self._kept: Kept | None = None
        self._unwritten: bytes | None = None
        # Several relays send different ones at the same time: the last to be taken is the highest.
        self._lock = asyncio.Lock()
        self.concern: str | None = None

    @property
    def manifest(self) -> Manifest | None:
        return self._kept.manifest if self._kept else None

    @property
    def is_taken(self) -> bool:
        """False while one could not be written."""
        return self._unwritten is None

    async def open(self) -> None:
        """Read the kept one. Raises InstallError."""
        self._kept = await asyncio.to_thread(self._file.read)
        if self._kept is not None:
            await self._learn(self._kept)

    async def take(self, message: bytes) -> bool:
        """Take a manifest that nothing has checked; return whether it is another than before. Never raises for it."""
        async with self._lock:
            return await self._take(message)

    async def _take(self, message: bytes) -> bool:
        if self._kept is not None and message == self._kept.message:
            return False
        try:
            self._kept = await asyncio.to_thread(self._file.take, message)
        except OlderManifestError:
            return False
        except FleetError as error:
            self._note(str(error))
            return False
        except InstallError as error:
            self._unwritten = message
            self._note(str(error))
            return True
        self._unwritten = None
        self._note(None)
        await self._learn(self._kept)
        return True

    async def _learn(self, kept: Kept) -> None:
        """Learn the keys that it names; what fails is tried with the next manifest, and at the next start."""
        if self._keys is None:
            return
        signer = compact_jws.key_id_of(kept.message, Kind.MANIFEST.longest)
        try:
            await asyncio.to_thread(self._keys.learn, signer, kept.manifest.fleet_keys)
        except (FleetError, InstallError) as error:
            self._note(str(error))

    async def retry(self) -> None:
        """Take again what could not be written, because a disk was full."""
        if self._unwritten is not None:
            await self.take(self._unwritten)

    def number_of(self, message: bytes) -> int:
        """Return the number of a manifest, 0 of anything else."""
        try:
            return records.read(message, self._file.fleet_keys, Kind.MANIFEST).number
        except MessageError:
            return 0

    def newer(self, number: int) -> Stored | None:
        """Return the kept one if its number is higher."""
        if self._kept is None or number >= self._kept.manifest.number:
            return None
        return Stored(MANIFEST_KEY, self._kept.message, float(self._kept.manifest.to_record().expires_at))

    def _note(self, concern: str | None) -> None:
        if concern is not None:
            self._complaints.say(concern)
        is_news = (concern is None) != (self.concern is None)  # a relay that makes manifests up must not cause reports
        self.concern = concern
        if is_news:
            self._notify()
