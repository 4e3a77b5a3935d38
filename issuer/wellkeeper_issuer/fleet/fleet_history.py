"""Record in the history what nodes report: each delivery once, although a node repeats it each minute, and may lie."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from wellkeeper_issuer.fleet.reports import Seen
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.agent.report import DONE, CertificateReport, CertificateState, Report, done_digest
from wellkeeper_node.bundles.manifest import Entry
from wellkeeper_node.happened import Happened, History, What, record

_log = logging.getLogger(__name__)

# The node, the number of the version, and the time of each delivery of a certificate that the history has.
Delivered = Callable[[str], Iterable[tuple[str, str, datetime]]]

_REFUSED: Final = frozenset({CertificateState.REFUSED, CertificateState.FAILED, CertificateState.WRONG})


@dataclass(slots=True)
class FleetHistory:
    """`last` are the reports that an earlier process has recorded, by name of the node and time of its enrolment.

    Another node of the same name has had nothing. In memory, each certificate has a bit per node that had or refused
    its newest version.
    """

    history: History
    last: dict[tuple[str, datetime], Report]
    delivered: Delivered = lambda _: ()
    _places: dict[tuple[str, datetime], int] = field(default_factory=dict)
    _known: dict[tuple[str, What], tuple[int, int]] = field(default_factory=dict)

    async def take(
        self, nodes: Mapping[str, EnrolledNode], reports: Iterable[Seen], listed: Mapping[str, Entry]
    ) -> None:
        """Record the first delivery and the first refusal of each listed version by each node that should have it."""
        known = {(one.name, one.enrolled_at) for one in nodes.values()}
        self.last = {key: report for key, report in self.last.items() if key in known}
        if not listed:
            return  # the manifest is not read yet: the next report is compared with the one that an earlier process had
        happened = list[Happened]()
        for seen in reports:
            node = nodes[seen.node]
            before = self.last.get((node.name, node.enrolled_at))
            wanted = {name: listed[name] for name in _changed(before, seen.report, listed) if node.gets(name)}
            happened += self._news(node, before, seen.report, wanted)
            self.last[node.name, node.enrolled_at] = seen.report
        await record(self.history, *happened)

    def has_had(self, node: EnrolledNode, lineage: str, number: int) -> bool:
        """Return whether nginx on the node had this version before its newest report."""
        key = node.name, node.enrolled_at
        before, place = self.last.get(key), self._places.get(key)
        if before is not None and before.is_done(lineage, number):
            return True
        version, bits = self._known.get((lineage, What.CERTIFICATE_DELIVERED), (number, 0))
        return version == number and place is not None and bool(bits >> place & 1)

    async def recall(self, nodes: Mapping[str, EnrolledNode], lineage: str, number: int) -> None:
        """Learn from the history which nodes had this version before this process began."""
        try:
            found = await asyncio.to_thread(self.delivered, lineage)
        except OSError as error:
            _log.warning("cannot read the history of certificate %s: %s", lineage, error.strerror or error)
            return
        for name, version, at in found:
            node = nodes.get(name)
            if node is not None and version == str(number) and at >= node.enrolled_at:
                self._is_first(node, lineage, number, What.CERTIFICATE_DELIVERED)

    async def rekeyed(self, node: EnrolledNode, former: EnrolledNode) -> None:
        """Record that a node has other keys."""
        details = {"key": node.signing_key, "former_key": former.signing_key}
        await record(self.history, Happened(What.NODE_REKEYED, node.name, details))

    async def stopped(self, lineage: str, number: int, nodes: Sequence[str], result: str) -> None:
        """Record that a roll-out was stopped."""
        details = {"nodes": ", ".join(nodes), "version": str(number), "result": result}
        await record(self.history, Happened(What.CERTIFICATE_ROLLED_BACK, lineage, details))

    def _news(
        self, node: EnrolledNode, before: Report | None, now: Report, wanted: Mapping[str, Entry]
    ) -> Iterator[Happened]:
        for name, entry in wanted.items():
            number, one = entry.version.number, now.certificates.get(name)
            for earlier in (What.CERTIFICATE_DELIVERED, What.CERTIFICATE_REFUSED):
                if _was_so(before, name, number, earlier):  # an earlier process has recorded it
                    self._is_first(node, name, number, earlier)
            what = What.CERTIFICATE_DELIVERED if now.is_done(name, number) else What.CERTIFICATE_REFUSED
            is_refused = one is not None and one.number == number and one.state in _REFUSED
            if not is_refused and what is not What.CERTIFICATE_DELIVERED:
                continue
            if self._is_first(node, name, number, what):
                yield Happened(what, name, _details(node, entry, one))

    def _is_first(self, node: EnrolledNode, lineage: str, number: int, what: What) -> bool:
        place = self._places.setdefault((node.name, node.enrolled_at), len(self._places))
        version, bits = self._known.get((lineage, what), (number, 0))
        bits = bits if version == number else 0
        self._known[lineage, what] = number, bits | 1 << place
        return not bits >> place & 1


def _changed(before: Report | None, now: Report, listed: Mapping[str, Entry]) -> Iterator[str]:
    """Yield the listed certificates that the report names, and those of which it has a digest for the first time."""
    yield from (name for name in now.certificates if name in listed)
    if new := now.done - (before.done if before else frozenset()):
        yield from (
            name
            for name, one in listed.items()
            if any(done_digest(name, one.version.number, state) in new for state in DONE)
        )


def _was_so(before: Report | None, name: str, number: int, what: What) -> bool:
    """Return whether the report before said so."""
    if before is None:
        return False
    if what is What.CERTIFICATE_DELIVERED:
        return before.is_done(name, number)
    one = before.certificates.get(name)
    return one is not None and one.number == number and one.state in _REFUSED


def _details(node: EnrolledNode, entry: Entry, one: CertificateReport | None) -> dict[str, str]:
    details = {"node": node.name, "version": str(entry.version.number), "leaf_sha256": entry.leaf_sha256}
    # A long report has only a digest of what nginx has loaded.
    return details | {"state": one.state.value if one else "loaded", "reason": (one.cause or "") if one else ""}
