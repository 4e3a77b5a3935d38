"""A fake of the certificates on disk."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache

from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.pruning import KEPT_VERSIONS
from wellkeeper_node.errors import InstallError, MissingVersionError
from wellkeeper_node.model import LINEAGE_NAME, Installed, Old, Pair


class FakeCertificates:
    """`ports.Certificates` in memory; `live` and `switches` are there to be looked at.

    `without_pair` are versions, such as those that are live at the start, that can be switched to but not read. `live/`
    refuses other links for the lineages in `stuck`, which the proof notices unless `is_proof_wrong`. Reads
    of those in `failing_reads` fail so many times.
    """

    def __init__(self, live: Mapping[str, str] | None = None) -> None:
        self.live: dict[str, str] = dict(live or {})
        self.without_pair = set(self.live.items())
        self.pairs: defaultdict[str, dict[str, Pair]] = defaultdict(dict)
        self.switches: list[tuple[str, str | None]] = []
        self.full_disk_for: set[str] = set()
        self.stuck: set[str] = set()
        self.is_proof_wrong = True
        self.failing_reads: dict[str, int] = {}
        self.disowned: dict[str, set[str]] = {}
        self.revoked: set[str] = set()
        # A simulated year reads each chain a thousand times.
        self._read = cache(reading.read_certificate)

    def live_path(self, lineage: str) -> str:
        return f"/certificates/live/{_checked(lineage)}"

    async def versions(self, lineage: str) -> Sequence[str]:
        return sorted(self.pairs[_checked(lineage)], key=lambda one: self._not_before(lineage, one))

    def own_prefixes(self, lineage: str) -> tuple[str, ...]:
        return f"{self.live_path(lineage)}/", f"/certificates/archive/{lineage}/"

    async def write(self, lineage: str, pair: Pair) -> str:
        if lineage in self.full_disk_for:
            raise InstallError(f"cannot use /certificates/archive/{lineage}", "No space left on device", "Free some.")
        normalised = _normalised(lineage, pair)
        first = version = reading.read_certificate(pair.chain_pem).fingerprint_sha256[:8]
        numbers = itertools.count(1)
        while self.pairs[_checked(lineage)].setdefault(version, normalised) != normalised:
            version = f"{first}-{next(numbers)}"
        return version

    async def prove(self, lineage: str) -> None:
        if _checked(lineage) in self.stuck and not self.is_proof_wrong:
            raise InstallError(f"cannot use /certificates/live/{lineage}", "Is a directory")

    async def switch(self, lineage: str, version: str | None) -> str | None:
        is_known = version in self.pairs[lineage] or (lineage, version) in self.without_pair
        if version not in {None, self.live.get(_checked(lineage))} and not is_known:
            raise MissingVersionError(f"/certificates/archive/{lineage} does not have version {version!r}")
        if lineage in self.stuck and version != self.live.get(lineage):
            raise InstallError(f"cannot use /certificates/live/{lineage}", "Is a directory")
        before = self.live.pop(lineage, None)
        if version is not None:
            self.live[lineage] = version
        if version != before:
            self.switches.append((lineage, version))
        return before

    async def installed(self, lineage: str) -> Installed | None:
        if self.failing_reads.get(lineage):
            self.failing_reads[lineage] -= 1
            raise InstallError(f"cannot read {lineage}", "Input/output error")
        version = self.live.get(_checked(lineage))
        pair = self.pairs[lineage].get(version or "")
        if version is None or pair is None:
            return None
        return Installed(lineage, version, self._read(pair.chain_pem), bool(pair.certificate_key_pem))

    async def read_pair(self, lineage: str) -> Pair | None:
        return self.pairs[lineage].get(self.live.get(_checked(lineage), ""))

    async def restore(self, lineage: str, is_wanted: Callable[[Installed], bool]) -> Installed | None:
        before = self.live.get(_checked(lineage))
        for version in reversed(await self.versions(lineage)):
            self.live[lineage] = version
            found = await self.installed(lineage)
            if found is not None and is_wanted(found) and not self._is_marked(lineage, found):
                if version != before:
                    self.switches.append((lineage, version))
                return found
        self.live.pop(lineage, None)
        if before is not None:
            self.live[lineage] = before
        return None

    def _not_before(self, lineage: str, version: str) -> datetime:
        return self._read(self.pairs[lineage][version].chain_pem).not_before

    def _is_marked(self, lineage: str, installed: Installed) -> bool:
        pair = self.pairs[lineage][installed.version]
        is_disowned = public_keys.leaf_key_fingerprint(pair.chain_pem) in self.disowned.get(lineage, set())
        return is_disowned or installed.certificate.fingerprint_sha256 in self.revoked

    async def mark_revoked(self, lineage: str) -> None:
        installed = await self.installed(lineage)
        if installed is not None:
            self.revoked.add(installed.certificate.fingerprint_sha256)

    async def disown_key(self, lineage: str) -> None:
        pair = await self.read_pair(lineage)
        if pair is not None:
            self.disowned.setdefault(lineage, set()).add(public_keys.leaf_key_fingerprint(pair.chain_pem))

    async def disowned_keys(self, lineage: str) -> frozenset[str]:
        return frozenset(self.disowned.get(_checked(lineage), ()))

    async def old_versions(self, lineage: str, now: datetime) -> list[Old]:
        """Sort by age; among equals, the last one written is the newest."""
        known = self.pairs[_checked(lineage)]
        found = []
        for place, (version, pair) in enumerate(known.items()):
            leaf = self._read(pair.chain_pem)
            is_surplus = place < len(known) - KEPT_VERSIONS
            if version != self.live.get(lineage) and (is_surplus or leaf.not_after + timedelta(days=30) < now):
                found.append(Old(version, f"/certificates/archive/{lineage}/{version}", leaf))
        return found

    async def remove_versions(self, lineage: str, versions: Collection[str]) -> None:
        for version in set(versions) - {self.live.get(_checked(lineage))}:
            self.pairs[lineage].pop(version, None)


def _checked(lineage: str) -> str:
    if LINEAGE_NAME.fullmatch(lineage) is None:
        raise InstallError(f"{lineage!r} is not a valid certificate name")
    return lineage


def _normalised(lineage: str, pair: Pair) -> Pair:
    """Return the pair as it is read back; a pair that does not match is refused."""
    key_pem = pair.certificate_key_pem
    try:
        is_pair = not key_pem or reading.certificate_key_matches(pair.chain_pem, key_pem)
        chain_pem = reading.normalise_pem(pair.chain_pem)
        reading.read_certificate(chain_pem)
    except ValueError as error:
        raise InstallError(
            f"cannot install the certificate of {lineage}", f"the certificate or its key is not PEM: {error}"
        ) from error
    if not is_pair:
        raise InstallError(f"cannot install the certificate of {lineage}", "the key does not match the certificate")
    return Pair(reading.normalise_pem(key_pem) if key_pem else b"", chain_pem)
