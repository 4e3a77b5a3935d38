"""Delivers to the nginx of this host, in the same process: the batch shares reloads, handshakes prove what is served.

Implements `Delivery`, a Protocol of the issuer's, by its shape alone.
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
    """Shared by all passes of a process; `https_addresses` is where this host's nginx serves."""

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
            raise VerifyError(f"{live_path} holds no usable certificate any more; run renew again to obtain one")
        served = await verify(installed, self.https_addresses, self.nginx, live_path, self.probes)
        return Verified(installed.certificate, served)
