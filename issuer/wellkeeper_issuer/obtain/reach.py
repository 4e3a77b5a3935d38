"""reach: before the first order of a certificate, check that nginx has the challenge location for each of its names.

Without it, every order would fail, and CAs count failed validations. Only a clear answer of nginx counts: another page,
a redirect, a refusal, an application's error. Behind a NAT or with split DNS the check can be wrong, so after 24 hours
the CA is asked.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.vetoes import PATIENCE, end_of, vetoes_of
from wellkeeper_issuer.ports.state import VetoRecords
from wellkeeper_node.model import Answer, Node, ReadBack
from wellkeeper_node.ports import Clock, Probes
from wellkeeper_node.wording import counted, format_time

_log = logging.getLogger(__name__)

# No CA chooses it, so no responder has it.
TOKEN: Final = "wellkeeper-looks-for-its-challenge-location"
# The daemon looks again after as long as it has waited already, within these bounds: soon while a user applies the
# changes. The shortest is less than the daemon's shortest sleep, or it would sleep twice.
_SHORTEST_PAUSE: Final = timedelta(seconds=4)
_LONGEST_PAUSE: Final = timedelta(seconds=30)


class Locations:
    """Looks at names through each node's nginx. Without `vetoes`, nothing waits."""

    def __init__(self, nodes: Sequence[Node], probes: Probes, vetoes: VetoRecords | None, clock: Clock) -> None:
        self._nodes = tuple(nodes)
        self._probes = probes
        self._vetoes = vetoes
        self._clock = clock
        # What was logged about each certificate, so that the log has it once.
        self._logged: dict[str, str] = {}

    async def reach(self, lineage: Lineage) -> None:
        """Raise DeferredError, with a hint, while nginx answers for a name without the challenge location."""
        if self._vetoes is None or not (missing := await missing_locations(lineage, self._nodes, self._probes)):
            return
        now = self._clock.now()
        known = await self._vetoes.read_vetoes(lineage.name)
        vetoes = vetoes_of({one.node for one in missing}, known, now, now + PATIENCE)
        asks_at = end_of(vetoes)
        if asks_at <= now:
            return  # the read-back of the order decides, and records the next veto
        if vetoes != known:
            await self._vetoes.record_vetoes(lineage.name, vetoes)
        error = not_reached(missing)
        if self._logged.get(lineage.name) != error.why:
            self._logged[lineage.name] = error.why
            until = f"the CA is asked anyway from {format_time(asks_at)}"
            _log.info("certificate %s: waiting: %s (%s)", lineage.name, error, until)
        waited = PATIENCE - (asks_at - now)
        error.retry_at = now + min(max(waited, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        raise error


async def missing_locations(lineage: Lineage, nodes: Sequence[Node], probes: Probes) -> Sequence[ReadBack]:
    """Return the answers of something other than the challenge location, for the names of the certificate."""
    found = list[ReadBack]()
    for identifier in lineage.identifiers:
        for node in nodes:
            answer = Answer(TOKEN, "A" * 43, identifier)
            found += [one for one in await probes.read_back(node, answer) if one.is_elsewhere]
    return found


def not_reached(missing: Sequence[ReadBack]) -> DeferredError:
    """Return the hint: it counts the answers and describes the first."""
    first = missing[0]
    answer = "did not answer" if first.status is None else f"gave HTTP {first.status}"
    more = f" (and {counted(len(missing) - 1, 'other answer')})" if len(missing) > 1 else ""
    return DeferredError(
        "nginx does not answer challenges yet",
        f"{first.url} {answer} at {first.address}: {first.cause}{more}",
        first.remedy,
    )
