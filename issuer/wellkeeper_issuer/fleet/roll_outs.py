"""Stop a roll-out that goes wrong: nodes get the former version again.

A roll-out lasts a day, and on each node until nginx has the version. What goes wrong later is not the version's fault.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from wellkeeper_issuer.fleet.distribution import Distribution
from wellkeeper_issuer.fleet.fleet_history import FleetHistory
from wellkeeper_issuer.fleet.node_status import wrong_versions
from wellkeeper_issuer.fleet.other_issuers import OtherIssuers
from wellkeeper_issuer.fleet.reports import Reports
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.errors import WellkeeperError

_log = logging.getLogger(__name__)

# One node alone may have a fault of its own.
_STOPPED_BY: Final = 2
_LONGEST: Final = timedelta(days=1)
_WAIT_SECONDS: Final = 3600.0


class RollOuts:
    """`watch` works until cancelled. `nodes` returns those that are enrolled."""

    def __init__(
        self,
        distribution: Distribution,
        reports: Reports,
        nodes: Callable[[], Mapping[str, EnrolledNode]],
        history: FleetHistory,
        others: OtherIssuers,
    ) -> None:
        self._others = others
        self._distribution = distribution
        self._reports = reports
        self._nodes = nodes
        self._history = history
        # Those that were stopped, or are over.
        self._ended: set[tuple[str, int]] = set()

    async def stop_wrong(self) -> None:
        """Send the former version of a certificate again if several nodes report the new one as wrong."""
        await self._others.confirm()
        for lineage, number, _ in self._wrong():
            await self._history.recall(self._nodes(), lineage, number)
        for lineage, number, names in self._wrong():
            nodes = ", ".join(names)
            self._ended.add((lineage, number))
            try:
                if await self._is_over(lineage):
                    _log.warning("certificate %s is wrong on nodes %s, long after its roll-out", lineage, nodes)
                    continue
                has_gone_back = await self._distribution.go_back(lineage)
            except WellkeeperError as error:
                _log.error("cannot stop the roll-out of %s: %s", lineage, error)
                continue
            result = (
                "they get the former version again" if has_gone_back else "there is no former version to go back to"
            )
            _log.error("certificate %s is wrong on nodes %s: %s", lineage, nodes, result)
            await self._history.stopped(lineage, number, names, result)

    async def watch(self) -> None:
        while True:
            await self._reports.until(lambda: bool(self._wrong()), _WAIT_SECONDS)
            await self.stop_wrong()

    async def _is_over(self, lineage: str) -> bool:
        sealed_at = await asyncio.to_thread(self._distribution.disk.bundles.sealed_at, lineage)
        return sealed_at is None or self._distribution.clock.now() - sealed_at > _LONGEST

    def _wrong(self) -> list[tuple[str, int, list[str]]]:
        """Return the roll-outs to stop: certificate, number of the version, nodes."""
        if self._others.is_replaced:
            return []  # the newer issuer stops them
        every, listed = self._nodes(), {(name, one.version.number) for name, one in self._distribution.listed.items()}
        found = []
        for (lineage, number), names in wrong_versions(self._reports.last).items():
            # A node has no say in certificates that it does not get, or had already.
            nodes = [
                name
                for name in names
                if every[name].gets(lineage) and not self._history.has_had(every[name], lineage, number)
            ]
            if (lineage, number) in listed - self._ended and len(nodes) >= _STOPPED_BY:
                found.append((lineage, number, nodes))
        return found
