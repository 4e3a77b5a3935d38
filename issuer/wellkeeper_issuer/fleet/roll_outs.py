"""Stop a roll-out that goes wrong: nodes get the former version again."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_issuer.fleet.distribution import Distribution
from wellkeeper_issuer.fleet.fleet_history import FleetHistory
from wellkeeper_issuer.fleet.node_status import wrong_versions
from wellkeeper_issuer.fleet.other_issuers import OtherIssuers
from wellkeeper_issuer.fleet.reports import Reports
from wellkeeper_node.errors import WellkeeperError

_log = logging.getLogger(__name__)

# One node alone may have a fault of its own.
_STOPPED_BY: Final = 2
_WAIT_SECONDS: Final = 3600.0


class RollOuts:
    """`watch` works until cancelled. `bodies` returns the nodes that are enrolled."""

    def __init__(
        self,
        distribution: Distribution,
        reports: Reports,
        bodies: Callable[[], Mapping[str, NodeBody]],
        history: FleetHistory,
        others: OtherIssuers,
    ) -> None:
        self._others = others
        self._distribution = distribution
        self._reports = reports
        self._bodies = bodies
        self._history = history
        self._stopped: set[tuple[str, int]] = set()

    async def stop_wrong(self) -> None:
        """Send the former version of a certificate again if several nodes report the new one as wrong."""
        await self._others.confirm()
        for lineage, number, nodes in self._wrong():
            self._stopped.add((lineage, number))
            try:
                has_gone_back = await self._distribution.go_back(lineage)
            except WellkeeperError as error:
                _log.error("cannot stop the roll-out of %s: %s", lineage, error)
                continue
            result = (
                "they get the former version again" if has_gone_back else "there is no former version to go back to"
            )
            _log.error("certificate %s is wrong on nodes %s: %s", lineage, ", ".join(nodes), result)
            await self._history.stopped(lineage, number, nodes, result)

    async def watch(self) -> None:
        while True:
            await self._reports.until(lambda: bool(self._wrong()), _WAIT_SECONDS)
            await self.stop_wrong()

    def _wrong(self) -> list[tuple[str, int, list[str]]]:
        """Return the roll-outs to stop: certificate, number of the version, nodes."""
        if self._others.is_replaced:
            return []  # the newer issuer stops them
        bodies, listed = self._bodies(), {(name, one.version.number) for name, one in self._distribution.listed.items()}
        found = []
        for (lineage, number), names in wrong_versions(self._reports.last).items():
            # A node has no say in certificates that it does not get.
            nodes = [name for name in names if bodies[name].gets(lineage)]
            if (lineage, number) in listed - self._stopped and len(nodes) >= _STOPPED_BY:
                found.append((lineage, number, nodes))
        return found
