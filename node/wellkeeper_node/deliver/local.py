"""Deliver to the nginx of this host, in the same process: share reloads, and verify by handshakes.

Implements the issuer's Protocol `Delivery`, without importing it.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain

from wellkeeper_node.deliver.batch import Deliveries
from wellkeeper_node.deliver.in_use import unused
from wellkeeper_node.deliver.verification import Verification
from wellkeeper_node.model import Flip, Verified
from wellkeeper_node.ports import Certificates, Nginx, Probes

_Address = tuple[str, int]


class LocalDelivery:
    """The delivery of all passes of a process; `https_addresses` are those of this host's nginx."""

    def __init__(
        self,
        nginx: Nginx,
        probes: Probes,
        certificates: Certificates,
        https_addresses: Sequence[_Address],
        batch: Deliveries,
    ) -> None:
        self._nginx = nginx
        self._probes = probes
        self._certificates = certificates
        self._https_addresses = https_addresses
        self._batch = batch
        self._verification = Verification(nginx, probes, certificates, https_addresses, batch.clock)

    def expecting(self) -> AbstractContextManager[None]:
        return self._batch.expecting()

    async def deliver(self, flip: Flip) -> float:
        self._verification.forget()  # an administrator may have changed the configuration that is loaded now
        return await self._batch.deliver(flip)

    async def verify(self, lineage: str, https_addresses: Sequence[_Address] | None = None) -> Verified:
        return await self._verification.verify(lineage, https_addresses)

    async def prune(self, lineages: Mapping[str, Sequence[_Address] | None]) -> None:
        now = self._batch.clock.now()
        old = {name: await self._certificates.old_versions(name, now) for name in lineages}
        every = [one for versions in old.values() for one in versions]
        if not every:
            return
        addresses = chain(self._https_addresses, *filter(None, lineages.values()))
        removable = {one.folder for one in await unused(every, self._nginx, addresses, self._probes)}
        for name, versions in old.items():
            chosen = [one.version for one in versions if one.folder in removable]
            if chosen:
                await self._certificates.remove_versions(name, chosen)
