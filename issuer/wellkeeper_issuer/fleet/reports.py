"""The last report of each node. A report counts if its node's key signed it, and if it is newer than the last one."""

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import decode_public_key, key_id
from wellkeeper_issuer.ports.fleet import NodeReport
from wellkeeper_node.agent.report import DONE, Report, parse_report
from wellkeeper_node.complaints import Complaints
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

_UPGRADE: Final = ". Upgrade Wellkeeper on this host before its nodes."
_SHOWN: Final = 10
# A node reports each minute.
LATELY_SECONDS: Final = 180.0
_CLOCK_SECONDS: Final = 60.0
# What 'engine check' writes for a moment, to see whether a node can report.
PROBE: Final = b"check"


@dataclass(frozen=True, slots=True)
class Seen:
    """A report as the issuer got it, at this time; the number of the next one is higher."""

    node: str
    number: int
    at: datetime
    report: Report

    @property
    def clock_fault(self) -> str | None:
        """Say how far the node's clock is off, if by more than a minute."""
        ahead = self.report.clock - self.at.timestamp()
        if abs(ahead) <= _CLOCK_SECONDS:
            return None
        return f"its clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"

    def to_record(self) -> NodeReport:
        """Return it for the state."""
        return NodeReport(self.node, self.number, self.at, json.dumps(self.report.to_json()))


def read_seen(recorded: NodeReport) -> Seen:
    """Reverse `Seen.to_record`."""
    report = parse_report(recorded.node, json.loads(recorded.body))
    return Seen(recorded.node, recorded.number, recorded.at, report)


def read_all(recorded: Mapping[str, NodeReport]) -> Mapping[str, Seen]:
    """Reverse `Seen.to_record` for each node.

    Ten thousand digests take a megabyte: nodes that report the same ones share them.
    """
    found, known = dict[str, Seen](), dict[frozenset[str], frozenset[str]]()
    for name, one in recorded.items():
        seen = read_seen(one)
        done = known.setdefault(seen.report.done, seen.report.done)
        found[name] = replace(seen, report=replace(seen.report, done=done))
    return found


class Reports:
    """The reports of the nodes that are enrolled; `last` are those that an earlier process recorded."""

    def __init__(
        self, nodes: Callable[[], Mapping[str, NodeBody]], clock: Clock, last: Mapping[str, Seen] | None = None
    ) -> None:
        self._nodes = nodes
        self._clock = clock
        self._last = dict(last or {})
        self._waiters: set[asyncio.Event] = set()
        # The keys of the nodes that reported to this process: another node of the same name may begin with any number.
        self._signers: dict[str, str] = {}
        self._complaints = Complaints(_log, clock)

    @property
    def last(self) -> Mapping[str, Seen]:
        """The last report of each node that is enrolled."""
        return {name: self._last[name] for name, body in self._nodes().items() if self._is_known(name, body)}

    @property
    def nodes(self) -> Collection[str]:
        """The names of the nodes that are enrolled."""
        return self._nodes().keys()

    def of(self, node: str) -> Report | None:
        seen = self._seen(node)
        return seen.report if seen is not None else None

    def seen_at(self, node: str) -> datetime | None:
        seen = self._seen(node)
        return seen.at if seen is not None else None

    def is_lately_heard(self, node: str) -> bool:
        seen = self._seen(node)
        return seen is not None and (self._clock.now() - seen.at).total_seconds() <= LATELY_SECONDS

    def rekey(self, node: str, signing_key: str) -> None:
        """Keep the last report of a node that has another key from now on: it continues its numbers."""
        if node in self._last:
            self._signers[node] = signing_key

    def take(self, stored: Stored) -> None:
        """Take the report, or log once why it is ignored. Never raises."""
        if stored.value == PROBE:
            return
        node = records.node_of(stored.key)
        try:
            record = self._check(node, stored)
            known = self._seen(node)
            if known is not None and record.number <= known.number:
                return
            report = parse_report(node, record.body)
        except (MessageError, ValueError) as error:
            remedy = _UPGRADE if isinstance(error, MessageError) and error.name == "version" else ""
            self._complaints.say(f"ignored a report of node {node!r}: {error}{remedy}")
            return
        _log_deliveries(node, known.report if known else None, report)
        self._signers[node] = self._nodes()[node].signing_key
        self._last[node] = Seen(node, record.number, self._clock.now(), report)
        for waiter in self._waiters:
            waiter.set()

    async def until(self, is_over: Callable[[], bool], seconds: float) -> bool:
        """Wait until the condition holds, which only a report can change; return False after so many seconds."""
        changed = asyncio.Event()
        self._waiters.add(changed)
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        waiting: asyncio.Future[Literal[True]] | None = None
        try:
            while not is_over() and not timer.done():
                waiting = asyncio.ensure_future(changed.wait())
                await asyncio.wait([waiting, timer], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                changed.clear()
            return is_over()
        finally:
            timer.cancel()
            if waiting is not None:
                waiting.cancel()
            self._waiters.discard(changed)

    def _check(self, node: str, stored: Stored) -> Record:
        body = self._nodes().get(node)
        if body is None:
            raise ValueError("the node is not enrolled")
        key = decode_public_key(body.signing_key)
        record = records.check(stored.value, {key_id(key): key}, Kind.REPORT, self._clock.now().timestamp())
        if record.key != stored.key:
            raise ValueError(f"it is the report {record.key!r:.80}")
        return record

    def _seen(self, node: str) -> Seen | None:
        body = self._nodes().get(node)
        return self._last[node] if body is not None and self._is_known(node, body) else None

    def _is_known(self, node: str, body: NodeBody) -> bool:
        return node in self._last and self._signers.get(node, body.signing_key) == body.signing_key


def _log_deliveries(node: str, before: Report | None, now: Report) -> None:
    """Log which versions the node's nginx has, since the report before."""
    known = _delivered(before) if before is not None else set()
    delivered = [
        one for one in sorted(_delivered(now) - known) if before is None or before.state_left_out(*one) is None
    ]
    new = [f"{name} (version {number})" for name, number in delivered]
    if new:
        more = f" and {len(new) - _SHOWN} more" if len(new) > _SHOWN else ""
        _log.info("node %r has %s%s", node, ", ".join(new[:_SHOWN]), more)


def _delivered(report: Report) -> set[tuple[str, int]]:
    return {(name, one.number) for name, one in report.certificates.items() if one.state in DONE}
