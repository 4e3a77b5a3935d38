"""A round of kills: its old certificates, and the orders known to the CA and the issuer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from stand.host import Host
from tests.fakes_deliver import FakeCa
from tests.integration.observed import journal
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.model import Identifier, IdentifierType

_ADDED: Final = re.compile(r'Added order "([\w-]+)"')
_ISSUED: Final = re.compile(r"Issued certificate serial \w+ for order ([\w-]+)")


@dataclass
class Round:
    """A renewal of old certificates with kills in between; `orders` are ids."""

    host: Host
    orders_before: frozenset[str]
    # Orders that the issuer logged, or that its journal contained after a kill.
    known_orders: set[str] = field(default_factory=set)

    def orders(self) -> set[str]:
        return set(_ADDED.findall(self._log())) - self.orders_before

    def issued(self) -> list[str]:
        return sorted(one for one in _ISSUED.findall(self._log()) if one not in self.orders_before)

    def note(self, reported: Sequence[Mapping[str, Any]]) -> None:
        """Add the orders from the issuer's log and journal."""
        finished = (one for one in reported if (one.get("stage"), one["event"]) == ("order", "finished"))
        self.known_orders |= {_order_id(one["detail"].split(",")[0]) for one in finished}
        recorded = (row["order_url"] for row in journal(self.host.issuer)["attempts"])
        self.known_orders |= {_order_id(url) for url in recorded if url}

    def _log(self) -> str:
        return self.host.ca.process.log.read_text()


def _order_id(url: str) -> str:
    return url.rsplit("/", 1)[1]


async def begin(host: Host, certificates: Mapping[str, Sequence[str]]) -> Round:
    """Install old certificates, which are due, and start a round."""
    old = FakeCa(datetime.now(UTC) - timedelta(days=80))
    folders = CertificateFolders(host.issuer.certificates_dir)
    for name, identifiers in certificates.items():
        pair = old.pair(*(Identifier(IdentifierType.DNS, value) for value in identifiers))
        await folders.switch(name, await folders.write(name, pair))
    return Round(host, frozenset(_ADDED.findall(host.ca.process.log.read_text())))
