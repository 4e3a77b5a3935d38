"""Deliver to the nginx of this host, in the same process: share reloads, and verify by handshakes.

Implements the issuer's Protocol `Delivery`, without importing it.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from wellkeeper_node.deliver.batch import Deliveries
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
