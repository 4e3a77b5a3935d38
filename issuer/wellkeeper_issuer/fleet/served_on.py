"""Say what clients of a node get for a certificate, as the node last checked it. Pure, and only look-ups.

Where it is the newest version, the issuer knows the expiry; of anything else, the node reports it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.fleet.node_status import Listed, NodeStatus
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.report import CHECK_SECONDS, CertificateReport, CertificateState, Report
from wellkeeper_node.wording import format_time

# A client that checks certificates accepts these until they expire.
_ACCEPTED: Final = frozenset({Got.NEWEST, Got.OLDER, Got.OTHER})
# One check may be missed, as while the node restarts.
_OLD: Final = timedelta(seconds=2 * CHECK_SECONDS)
_WORDS: Final = {
    Got.NEWEST: "served",
    Got.OLDER: "older version",
    Got.PLACEHOLDER: "placeholder",
    Got.OTHER: "another certificate",
    Got.UNRELATED: "another certificate",
    Got.NOTHING: "not served",
}


@dataclass(frozen=True, slots=True)
class OnNode:
    """A certificate on a node. `what` clients get is None where the node has not said it.

    `serves` names it, and `version` is its name in the issuer's archive if it is the newest version.
    `state` is that of the newest version, None if the node has not reported the certificate. `since` is when the node
    first found something else, `checked_at` when it looked last; `cause` and `remedy` are in its words.
    """

    node: str
    lineage: str
    newest: int
    state: CertificateState | None = None
    what: Got | None = None
    serves: str = ""
    number: int | None = None
    version: str = ""
    fingerprint_sha256: str = ""
    serial: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    since: datetime | None = None
    checked_at: datetime | None = None
    cause: str = ""
    remedy: str = ""

    def has_expired(self, now: datetime) -> bool:
        """Return whether what clients get has expired."""
        return self.what in _ACCEPTED and self.not_after is not None and self.not_after <= now

    def is_old(self, now: datetime) -> bool:
        """Return whether the node has not looked for so long that it proves nothing."""
        return self.checked_at is not None and now - self.checked_at > _OLD

    def is_right(self, now: datetime) -> bool:
        """Return whether clients get the newest version, or no server block on the node is for it."""
        if self.is_old(now):
            return False
        if self.state is CertificateState.INSTALLED:
            return self.what is None
        return self.state is CertificateState.SERVED and self.what is Got.NEWEST and not self.has_expired(now)

    def words(self, now: datetime) -> str:
        """Return the state in one to three words."""
        if self.has_expired(now):
            return "expired"
        if self.is_old(now):
            return "not checked lately"
        if self.what is not None:
            return _WORDS[self.what]
        return self.state.value if self.state is not None else "unknown"

    def is_bad(self, now: datetime) -> bool:
        """Return whether clients refuse what they get, or it is not ours."""
        return self.has_expired(now) or (self.what is not None and self.what not in {Got.NEWEST, Got.OLDER})

    def sentence(self, now: datetime) -> str:
        """Say what is not as it should be."""
        if self.state is None:
            return f"Node {self.node}: {self.cause}."
        since = f"since {format_time(self.since)}, " if self.since else ""
        ends = "which expired at" if self.has_expired(now) else "valid until"
        until = f", {ends} {format_time(self.not_after)}" if self.not_after else ""
        head = f"{since}clients get {self.serves}{until}" if self.serves else self.state.value
        cause = f": {self.cause.rstrip('.')}" if self.cause else ""
        if self.checked_at and self.is_old(now):
            head = f"not checked since {format_time(self.checked_at)}; then, {head}"
        return f"Node {self.node}: {head}{cause}.{f' {self.remedy}' if self.remedy else ''}"


@dataclass(frozen=True, slots=True)
class Earliest:
    """The certificate with the earliest expiry among those that clients of a node get."""

    lineage: str
    not_before: datetime
    not_after: datetime


def on_node(status: NodeStatus, lineage: str) -> OnNode:
    """Return what the node has of this certificate, one of `listed`."""
    listed, report = status.listed[lineage], status.report
    found = OnNode(status.name, lineage, listed.entry.version.number, checked_at=checked_at(status))
    if report is None:
        return replace(found, cause="it has never reported")
    return _reported(found, listed, report, report.certificates.get(lineage))


def checked_at(status: NodeStatus) -> datetime | None:
    """Return when the node last looked at all of its certificates, by the clock here; None if it has not said it."""
    report, seen_at = status.report, status.seen_at
    if report is None or seen_at is None or report.checked_at is None:
        return None
    # A node may report any times, and may have set its clock since the check.
    seconds = min(max(report.clock - report.checked_at, 0.0), seen_at.timestamp())
    return seen_at - timedelta(seconds=seconds)


def earliest(status: NodeStatus) -> Earliest | None:
    """Return the earliest expiry that clients of this node meet, without what they refuse anyway; None if unknown."""
    if status.report is None:
        return None
    newest = next(_newest(status, status.report), None)
    others = _instead(status, status.report)
    return min(filter(None, (newest, *others)), key=lambda one: one.not_after, default=None)


def _newest(status: NodeStatus, report: Report) -> Iterator[Earliest]:
    """Yield those served in the newest version: `listed` has the earliest expiry first."""
    for lineage, one in status.listed.items():
        if one.not_before and one.not_after:
            found, number = report.certificates.get(lineage), one.entry.version.number
            state = report.state_left_out(lineage, number) if found is None else found.state
            if state is CertificateState.SERVED and (found is None or found.number == number):
                yield Earliest(lineage, one.not_before, one.not_after)


def _instead(status: NodeStatus, report: Report) -> Iterator[Earliest]:
    for lineage, one in report.certificates.items():
        other = one.instead
        if other is None or other.what not in _ACCEPTED or lineage not in status.listed:
            continue
        if other.not_before_at and other.not_after_at:
            yield Earliest(lineage, other.not_before_at, other.not_after_at)


def _reported(found: OnNode, listed: Listed, report: Report, one: CertificateReport | None) -> OnNode:
    if one is None:
        return _left_out(found, listed, report.state_left_out(found.lineage, found.newest))
    if one.number != found.newest:
        return _of_former(found, one)
    found = replace(found, state=one.state, cause=one.cause or "", remedy=one.remedy)
    if one.instead is not None:
        return _of_instead(found, one.instead)
    return _of_newest(found, listed) if one.state is CertificateState.SERVED else found


def _of_former(found: OnNode, one: CertificateReport) -> OnNode:
    """Return what a report about another version than the newest says."""
    found, other = replace(found, state=CertificateState.WAITING), one.instead
    if other is not None:
        found = replace(found, cause=one.cause or "", remedy=one.remedy)
        return _of_instead(found, replace(other, what=Got.OLDER) if other.what is Got.NEWEST else other)
    if one.state is CertificateState.SERVED:
        words = f"version {one.number}"
        return replace(found, what=Got.OLDER, number=one.number, serves=words, fingerprint_sha256=one.leaf_sha256)
    return replace(found, cause=f"it has not reported version {found.newest} yet")


def _left_out(found: OnNode, listed: Listed, state: CertificateState | None) -> OnNode:
    if state is None:
        return replace(found, cause="it has not reported this certificate")
    found = replace(found, state=state)
    return _of_newest(found, listed) if state is CertificateState.SERVED else found


def _of_newest(found: OnNode, listed: Listed) -> OnNode:
    return replace(
        found,
        what=Got.NEWEST,
        serves=f"version {found.newest}",
        number=found.newest,
        version=listed.entry.version.archive_name,
        fingerprint_sha256=listed.entry.leaf_sha256,
        not_before=listed.not_before,
        not_after=listed.not_after,
    )


def _of_instead(found: OnNode, other: Instead) -> OnNode:
    return replace(
        found,
        what=other.what,
        serves=other.words,
        number=other.number,
        serial=other.serial,
        not_before=other.not_before_at,
        not_after=other.not_after_at,
        since=other.since_at,
    )
