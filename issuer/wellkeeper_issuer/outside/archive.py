"""Read versions of certificates on this host, and number them, for other nodes."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from wellkeeper_node import durable, presence, public_keys, rights
from wellkeeper_node.bundles import numbers
from wellkeeper_node.bundles.model import Version
from wellkeeper_node.certificates import pairs, reading, removal
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.model import Pair

_log = logging.getLogger(__name__)

_REVOKED: Final = ".revoked-"
# No public CA issues for longer; a certificate whose version is gone may be valid for so long after it was marked.
_LONGEST_LIFETIME: Final = timedelta(days=400)


class ArchiveFolder:
    """Implements `fleet.ports.Archive` on a `certificates_dir`."""

    def __init__(self, certificates_dir: Path) -> None:
        self._root = certificates_dir
        self._live = LiveFolder(certificates_dir)
        self._folders = CertificateFolders(certificates_dir)

    async def newest(self, lineage: str) -> Version | None:
        return await numbers.read_newest(self._root, lineage)

    async def record_newest(self, lineage: str, version: Version) -> None:
        await numbers.record_newest(self._root, lineage, version)

    async def versions(self, lineage: str) -> Sequence[str]:
        return await self._folders.versions(lineage)

    async def live(self, lineage: str) -> str | None:
        return (await self._live.versions([lineage])).get(lineage)

    async def read(self, lineage: str, version: str) -> Pair | None:
        archive = self._root / "archive" / lineage

        def read() -> Pair:
            with rights.of_owner(self._root, lineage=lineage):
                pair = pairs.read_pair(archive / version)
                if presence.exists(archive / f"{_REVOKED}{_leaf(pair)}"):
                    raise ValueError("it was revoked")
                return pair

        with durable.translated(self._root):
            try:
                pair = await asyncio.to_thread(read)
            except (FileNotFoundError, ValueError) as error:
                _log.warning("%s holds no usable certificate: %s", archive / version, error)
                return None
        key = public_keys.leaf_key_fingerprint(pair.chain_pem)
        return None if key in await self._folders.disowned_keys(lineage) else pair

    async def unwanted(self, lineage: str, now: datetime) -> frozenset[str]:
        since = now - _LONGEST_LIFETIME

        def marked() -> set[str]:
            marks = (self._root / "archive" / lineage).glob(f"{_REVOKED}*")
            with rights.of_owner(self._root, lineage=lineage):
                found = [(mark.name.removeprefix(_REVOKED), mark.stat().st_mtime) for mark in marks]
            return {leaf for leaf, at in found if at > since.timestamp()}

        with durable.translated(self._root):
            leaves = await asyncio.to_thread(marked)
        if not leaves:
            return frozenset()
        expired = frozenset(
            one.certificate.fingerprint_sha256
            for one in await removal.read_versions(self._root, lineage)
            if one.certificate is not None and one.certificate.not_after <= now
        )
        return frozenset(leaves - expired)

    async def never_restore(self, lineage: str, leaf_sha256: str) -> None:
        if presence.is_dir(self._root / "archive" / lineage):
            await self._folders.never_restore(lineage, leaf_sha256)


def _leaf(pair: Pair) -> str:
    return reading.read_certificate(pair.chain_pem).fingerprint_sha256
