"""Limit how long failed read-backs keep the CA from being asked: 24 h for each node, from its own first failure.

Behind a NAT or with split DNS they fail though the CA would find the token. With less than a tenth of the lifetime
left, the CA is asked at once; and then once a day, whichever nodes fail. Nodes that fail alternately keep it from being
asked for three days at most.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.ports.state import VetoRecords
from wellkeeper_node.errors import PublishError
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_time, with_reload

# CAs allow far more than one failed validation per day.
PATIENCE: Final = timedelta(hours=24)
_LONGEST: Final = 3 * PATIENCE
# Stands for all nodes: the CA was asked anyway.
_EVERY_NODE: Final = ""
# Stands for whichever node fails: the end of all vetoes. No node has such a name.
_ANY_NODE: Final = "*"


class Vetoes:
    """The vetoes of all certificates."""

    def __init__(self, records: VetoRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def hold(
        self, lineage: str, nodes: Collection[str], error: PublishError, expiring_at: datetime | None
    ) -> str:
        """Raise PublishError while the veto of one of these nodes holds; else return why the CA is asked.

        Records when it is asked next.
        """
        now = self._clock.now()
        tomorrow = now + PATIENCE
        known = await self._records.read_vetoes(lineage)
        vetoes = vetoes_of(nodes, known, now, min(tomorrow, expiring_at or tomorrow))
        asks_at = end_of(vetoes)
        if now >= asks_at:
            vetoes = dict.fromkeys([*nodes, _EVERY_NODE], tomorrow)
        await self._records.record_vetoes(lineage, vetoes)
        if now < asks_at:
            raise PublishError(
                f"the CA was not asked, because {error.what}; it is asked anyway from {format_time(asks_at)}",
                error.why,
                with_reload(
                    f"{error.remedy} If only the read-back is wrong, as behind a NAT,"
                    ' set read_back = "advisory".'.strip()
                ),
            )
        is_expiring = expiring_at is not None and now >= expiring_at
        return "less than a tenth of the lifetime is left" if is_expiring else "it has failed for 24 h"

    async def end(self, lineage: str) -> None:
        """End the vetoes, as the read-back succeeded on all nodes. Idempotent."""
        if await self._records.read_vetoes(lineage):
            await self._records.forget_vetoes(lineage)


def end_of(vetoes: Mapping[str, datetime]) -> datetime:
    """Return when the CA is asked although these vetoes hold, at least one of them of a node."""
    last = max(at for node, at in vetoes.items() if node != _ANY_NODE)
    return min(last, vetoes.get(_ANY_NODE, last))


def vetoes_of(
    nodes: Collection[str], known: Mapping[str, datetime], now: datetime, first: datetime
) -> dict[str, datetime]:
    """Return the end of the veto of each node that fails now; `first` for one that did not fail before.

    A clock that was set back must not make the wait longer.
    """
    if known.keys() == {_EVERY_NODE}:
        first = min(first, known[_EVERY_NODE])  # recorded by a version that did not tell nodes apart
    every = {_EVERY_NODE} & known.keys()
    vetoes = {node: min(known.get(node, first), now + PATIENCE) for node in (*nodes, *every)}
    return vetoes | {_ANY_NODE: min(known.get(_ANY_NODE, now + _LONGEST), now + _LONGEST)}
