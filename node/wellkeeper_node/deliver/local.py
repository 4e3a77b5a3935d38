"""Deliver to the nginx of this host, in the same process: share reloads, and verify by handshakes.

Implements the issuer's Protocol `Delivery`, without importing it.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from wellkeeper_node.deliver.batch import Deliveries
from wellkeeper_node.deliver.in_use import unused
from wellkeeper_node.deliver.verify import verify
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Flip, Verified
from wellkeeper_node.ports import Certificates, Nginx, Probes


@dataclass(frozen=True, slots=True)
class LocalDelivery:
    """The delivery of all passes of a process; `https_addresses` are those of this host's nginx."""

    nginx: Nginx
    probes: Probes
    certificates: Certificates
    https_addresses: tuple[tuple[str, int], ...]
    batch: Deliveries

    def expecting(self) -> AbstractContextManager[None]:
        return self.batch.expecting()

    async def deliver(self, flip: Flip) -> float:
        return await self.batch.deliver(flip)

    async def verify(self, lineage: str) -> Verified:
        live_path = self.certificates.live_path(lineage)
        installed = await self.certificates.installed(lineage)
        if installed is None:
            raise VerifyError(
                f"cannot verify the certificate of {lineage}",
                f"{live_path} no longer holds a usable certificate",
                f"Run 'wellkeeper renew {lineage}' to obtain one.",
            )
        served = await verify(installed, self.https_addresses, self.nginx, live_path, self.probes)
        return Verified(installed.certificate, served)

    async def prune(self, lineages: Sequence[str]) -> None:
        now = self.batch.clock.now()
        old = {name: await self.certificates.old_versions(name, now) for name in lineages}
        every = [one for versions in old.values() for one in versions]
        if not every:
            return
        removable = {one.folder for one in await unused(every, self.nginx, self.https_addresses, self.probes)}
        for name, versions in old.items():
            chosen = [one.version for one in versions if one.folder in removable]
            if chosen:
                await self.certificates.remove_versions(name, chosen)
