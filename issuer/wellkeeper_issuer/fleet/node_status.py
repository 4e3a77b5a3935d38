"""Judge how far each node has come, from its last report: what is behind, since when, and why. Pure."""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.fleet.reports import Seen
from wellkeeper_issuer.ports.fleet import EnrolledNode, MissingToken
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report
from wellkeeper_node.bundles.manifest import Entry
from wellkeeper_node.wording import counted, format_time

ALL: Final = "*"
_UNSEEN: Final = timedelta(minutes=15)
_FORGOTTEN: Final = timedelta(days=1)
_BEHIND: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A certificate in the manifest, when its version was sealed, and its dates, None if they were not read."""

    entry: Entry
    sealed_at: datetime
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Behind:
    """A certificate that is not there, since when it should be, and why in the node's words.

    Without a remedy, that is "". `instead` is what clients get there, if the node has said it.
    """

    lineage: str
    since: datetime
    cause: str
    remedy: str = ""
    instead: Instead | None = None

    @property
    def seen_since(self) -> datetime:
        """The time from which clients did not get the newest version: for an older one, from the start."""
        if self.instead is None or self.instead.what is Got.OLDER:
            return self.since
        return max(self.since, self.instead.since_at)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node at one moment. `clock_seconds` is how far its clock is ahead; None before its first report.

    `current` of its `total` certificates have the version of the manifest. `follows` is as of its last `report`.
    `listed` are its certificates in the manifest, the one that expires first at the beginning: see `served_on`.
    """

    name: str
    answers: bool
    enrolled_at: datetime
    seen_at: datetime | None
    version: str | None
    clock_seconds: float | None
    total: int
    current: int
    behind: tuple[Behind, ...]
    concern: str | None
    is_ephemeral: bool = False
    follows: tuple[str, ...] = ()
    lineages: tuple[str, ...] = (ALL,)
    report: Report | None = field(default=None, repr=False)
    listed: Mapping[str, Listed] = field(default_factory=dict, repr=False)

    def gets(self, lineage: str) -> bool:
        """Return whether the certificate is for this node."""
        return ALL in self.lineages or lineage in self.lineages

    @property
    def has_everything(self) -> bool:
        return self.seen_at is not None and self.total > 0 and not self.behind

    def absence(self, now: datetime) -> str:
        """Return since when an ephemeral node is gone; "" for one that is not."""
        since = self.seen_at or self.enrolled_at
        if not self.is_ephemeral or now - since <= _UNSEEN:
            return ""
        until = format_time(since + _FORGOTTEN)
        return f"not seen since {format_time(since)}: orders do not wait for it, and it is removed after {until}"

    def problem(self, now: datetime) -> str:
        """Return why a person should look at it: unseen for 15 minutes, or behind for an hour; "" without a reason."""
        if self.absence(now):
            return ""
        if now - (self.seen_at or self.enrolled_at) > _UNSEEN:
            return f"not seen since {format_time(self.seen_at)}" if self.seen_at else "it has never reported"
        late = [one for one in self.behind if now - one.since > _BEHIND]
        if not late:
            return ""
        more = f", and {counted(len(late) - 1, 'other')}" if len(late) > 1 else ""
        return f"{late[0].lineage} has been behind since {format_time(late[0].seen_since)}: {late[0].cause}{more}"


def node_statuses(
    nodes: Mapping[str, EnrolledNode],
    reports: Mapping[str, Seen],
    listed: Mapping[str, Listed],
    missing: Mapping[str, MissingToken] | None = None,
) -> tuple[NodeStatus, ...]:
    """Return the status of each node, by name. `missing` are the tokens that nodes lacked when they were published."""
    lacks, ordered = missing or {}, dict(sorted(listed.items(), key=_expiry))
    return tuple(_status(node, reports.get(name), ordered, lacks.get(name)) for name, node in sorted(nodes.items()))


def _expiry(pair: tuple[str, Listed]) -> tuple[float, str]:
    name, one = pair
    return one.not_after.timestamp() if one.not_after else math.inf, name


def is_gone(node: EnrolledNode, seen_at: datetime | None, now: datetime) -> bool:
    """Return whether it is an ephemeral node for which orders do not wait any more."""
    return node.is_ephemeral and now - (seen_at or node.enrolled_at) > _UNSEEN


def is_to_be_forgotten(node: EnrolledNode, seen_at: datetime | None, now: datetime) -> bool:
    """Return whether it is an ephemeral node that has been gone for a day."""
    return node.is_ephemeral and now - (seen_at or node.enrolled_at) > _FORGOTTEN


def wrong_versions(reports: Mapping[str, Seen]) -> Mapping[tuple[str, int], list[str]]:
    """Return the nodes that report a version as wrong, by certificate and number of the version.

    It looks only at what nodes report: this is asked with each report, and a fleet may have thousands of certificates.
    """
    found = defaultdict[tuple[str, int], list[str]](list)
    for name, seen in sorted(reports.items()):
        for lineage, one in seen.report.certificates.items():
            if one.state is CertificateState.WRONG:
                found[lineage, one.number].append(name)
    return found


def has_ended(report: Report | None, lineage: str, entry: Entry) -> bool:
    """Return whether the node has tried this version, whatever came of it."""
    if report is None:
        return False
    found, number = report.certificates.get(lineage), entry.version.number
    if found is None:
        return report.is_done(lineage, number)
    return found.number >= number and found.state is not CertificateState.WAITING


def _status(
    node: EnrolledNode, seen: Seen | None, listed: Mapping[str, Listed], missing: MissingToken | None
) -> NodeStatus:
    report = seen.report if seen else None
    gets_all, lineages = ALL in node.lineages, frozenset(node.lineages)
    wanted = listed if gets_all else {name: one for name, one in listed.items() if name in lineages}
    lacking = sorted(
        name for name, one in wanted.items() if report is None or not report.is_done(name, one.entry.version.number)
    )
    behind = tuple(
        _behind(node, name, listed[name], report.certificates.get(name) if report else None) for name in lacking
    )
    return NodeStatus(
        name=node.name,
        answers=node.answers,
        enrolled_at=node.enrolled_at,
        seen_at=seen.at if seen else None,
        version=report.version if report else None,
        clock_seconds=report.clock - seen.at.timestamp() if report and seen else None,
        total=len(wanted),
        current=len(wanted) - len(behind),
        behind=behind,
        concern=_missing(missing, seen) or _concern(seen) or _unused(report, wanted),
        is_ephemeral=node.is_ephemeral,
        follows=report.follows if report else (),
        lineages=node.lineages,
        report=report,
        listed=wanted,
    )


def _behind(node: EnrolledNode, lineage: str, listed: Listed, found: CertificateReport | None) -> Behind:
    since = max(listed.sealed_at, node.enrolled_at)
    if found is None:
        return Behind(lineage, since, "the node has not reported it")
    if found.number != listed.entry.version.number:
        words = f"version {found.number} is there, {listed.entry.version.number} is not yet"
        return Behind(lineage, since, words)
    return Behind(lineage, since, found.cause or str(found.state), found.remedy, found.instead)


def _missing(token: MissingToken | None, seen: Seen | None) -> str | None:
    """Return why the CA is not asked; a node that was away may have come back since."""
    if token is None or (not token.is_reported and seen is not None and seen.at > token.at):
        return None
    return f"no token for {token.identifier} at {format_time(token.at)}: {token.cause}"


def _concern(seen: Seen | None) -> str | None:
    """Return what is wrong beside certificates: a clock, the responder, an old manifest."""
    if seen is None:
        return None
    report = seen.report
    if seen.clock_fault:
        return seen.clock_fault
    if report.responder.error:
        return f"its responder: {report.responder.error}"
    return report.concern


def _unused(report: Report | None, wanted: Collection[str]) -> str | None:
    """Return the first certificate that nginx there has loaded, though clients get another one for its names."""
    for lineage, one in report.certificates.items() if report else ():
        if lineage in wanted and one.state is CertificateState.INSTALLED and one.instead is not None:
            return f"{lineage}: {one.cause or one.state}; clients get {one.instead.words}"
    return None


def present(nodes: Mapping[str, EnrolledNode], last: Mapping[str, Seen], now: datetime) -> Mapping[str, EnrolledNode]:
    """Return the nodes without the ephemeral ones that are gone."""
    return {name: one for name, one in nodes.items() if not is_gone(one, last[name].at if name in last else None, now)}
