"""Deliver on this host first, then to the nodes: they pick it up by themselves, and no node delays another."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from wellkeeper_issuer.fleet.distribution import Distribution
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import Flip, Verified

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FleetDelivery:
    """Implements `ports.node.Delivery`. What cannot be sent to nodes is logged: it is served here, and sent later."""

    local: Delivery
    distribution: Distribution

    def expecting(self) -> AbstractContextManager[None]:
        return self.local.expecting()

    async def deliver(self, flip: Flip) -> float:
        seconds = await self.local.deliver(flip)
        try:
            await self.distribution.offer(flip.lineage)
        except WellkeeperError as error:
            _log.error("nodes do not get certificate %s for now: %s", flip.lineage, error)
        return seconds

    async def prune(self, lineages: Mapping[str, Sequence[tuple[str, int]] | None]) -> None:
        await self.local.prune(lineages)

    async def verify(self, lineage: str, https_addresses: Sequence[tuple[str, int]] | None = None) -> Verified:
        return await self.local.verify(lineage, https_addresses)
