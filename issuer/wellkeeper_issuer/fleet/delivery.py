"""Deliver on this host first, then to the nodes: they pick it up by themselves, and no node delays another.

Nodes do not wait for an nginx here that cannot be reloaded anyway, but do not get what may have ended it.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from wellkeeper_issuer.fleet.distribution import Distribution
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_node.errors import EndedError, ReloadError, WellkeeperError
from wellkeeper_node.model import Flip, Verified
from wellkeeper_node.ports import Nginx

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FleetDelivery:
    """Implements `ports.node.Delivery`. What cannot be sent to nodes is logged: it is served here, and sent later."""

    local: Delivery
    distribution: Distribution
    nginx: Nginx

    def expecting(self) -> AbstractContextManager[None]:
        return self.local.expecting()

    async def deliver(self, flip: Flip) -> float:
        can_be_tried = await self._can_be_reloaded()
        try:
            seconds = await self.local.deliver(flip)
        except EndedError:
            self.distribution.held.add(flip.lineage, flip.after)
            raise
        except ReloadError:
            if not can_be_tried and not self.distribution.held.has(flip.lineage, flip.after):
                await self._offer(flip.lineage)
            raise
        await self._offer(flip.lineage)
        return seconds

    async def _can_be_reloaded(self) -> bool:
        try:
            await self.nginx.prove()
        except ReloadError:
            return False
        return True

    async def _offer(self, lineage: str) -> None:
        try:
            await self.distribution.offer(lineage)
        except WellkeeperError as error:
            _log.error("nodes do not get certificate %s for now: %s", lineage, error)

    async def prune(self, lineages: Mapping[str, Sequence[tuple[str, int]] | None]) -> None:
        await self.local.prune(lineages)

    async def verify(self, lineage: str, https_addresses: Sequence[tuple[str, int]] | None = None) -> Verified:
        return await self.local.verify(lineage, https_addresses)
