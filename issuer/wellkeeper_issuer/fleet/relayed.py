"""Publish tokens to all nodes behind the relay, and learn from their reports who holds and serves them.

For `AllResponders`, the relay is one more responder: publications go there as records, and the fetches that nodes
report come back. A relay or node that is away fails no publication: its read-back does, with the reason, so that the
rules of vetoes decide.
"""

import base64
import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from wellkeeper_client import wire
from wellkeeper_client.fleet_bodies import NodeBody, PublicationBody
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.ports import Feeding
from wellkeeper_issuer.fleet.reports import Reports
from wellkeeper_issuer.ports.fleet import MissingToken, MissingTokens
from wellkeeper_node.agent.report import PublicationReport
from wellkeeper_node.model import Answer, ReadBack
from wellkeeper_node.ports import Clock
from wellkeeper_node.responders.client import Fetches
from wellkeeper_node.wording import format_time

_INVITE: Final = "Run 'wellkeeper node invite NAME' for the first one."
_NO_NODE: Final = "no node that answers challenges has joined, and this host has no nginx (local_node = false)"
_NONE_SEEN: Final = "all nodes that answer challenges are gone, and this host has no nginx (local_node = false)"
_START: Final = "Start one of them, or invite another one."

# An agent answers within a fraction of a second, and waits as long as this for its own responder to restart.
_WAIT_SECONDS: Final = 12.0
# For a node that has not been heard for minutes. Nodes need some seconds to find a relay that was just started.
_SILENT_WAIT_SECONDS: Final = 2.0
_FIRST_SECONDS: Final = 30.0
# A relay that restarts is back within seconds. One that stays away must not delay every certificate.
_AWAY_SECONDS: Final = 15.0
_NEXT_WAIT_SECONDS: Final = 60.0
_MOST_WAITS: Final = 2
# As long as a publication of ours.
_LIFETIME_SECONDS: Final = 1800
_MOST_FETCHES: Final = 16
_INSTANCE: Final = "relay"


class RelayedResponder:
    """Implements the connection that `AllResponders` needs, and `ports.node.RemoteReadBacks`."""

    node = "relay"

    def __init__(  # noqa: PLR0913 - the parts of a fleet that it works with
        self,
        feed: Feeding,
        reports: Reports,
        records: MissingTokens,
        nodes: Callable[[], Mapping[str, NodeBody]],
        clock: Clock,
        *,
        has_others: bool = True,
        is_gone: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`has_others` is false if no other responder gets tokens: then at least one node must answer.

        Nodes that are gone fail no read-back. They are asked like all others, because they may have returned.
        """
        self._is_gone = is_gone
        self._has_others = has_others
        self._feed = feed
        self._reports = reports
        self._records = records
        self._nodes = nodes
        self._clock = clock
        self._began = clock.monotonic()
        self._jtis: dict[str, str] = {}
        self._counted: Counter[tuple[str, str]] = Counter()
        self._next = 0
        self._waits_from = -math.inf

    async def close(self) -> None:
        """Do nothing: the feed has the connection."""

    async def put(self, token: str, message: str) -> str:
        """Publish the token. Idempotent; what the relay does not take now gets there as soon as it answers."""
        jti = self._jtis[token] = _claim(message, "jti")
        if self._answering():
            await self._feed.put(self._publication(jti, 1, PublicationBody(message)))
        return _INSTANCE

    async def delete(self, token: str, message: str) -> bool:
        """Withdraw the publication, also one of an earlier process; return whether the relay has it. Idempotent."""
        jti = _claim(message, "publication_jti")
        if self._jtis.get(token) == jti:
            del self._jtis[token]
        if not self._answering() and not self._feed.has(_key(jti)):
            return True
        await self._feed.put(self._publication(jti, 2, PublicationBody(message, is_withdrawal=True)))
        return self._feed.is_there(_key(jti))

    async def fetches(self, _after: int, *, wait_seconds: int) -> Fetches:
        """Return the fetches that nodes reported since the last call; waits up to `wait_seconds` for one."""
        await self._reports.until(self._has_new_fetches, wait_seconds)
        fetched = tuple(self._new_fetches())
        self._next += len(fetched)
        return Fetches(_INSTANCE, self._next, is_incomplete=False, fetched=fetched)

    def has_nodes(self) -> bool:
        """Implement `ports.node.RemoteReadBacks.has_nodes`."""
        return bool(self._nodes())

    async def failures(self, answers: Sequence[Answer], without: Collection[str] = ()) -> Sequence[ReadBack]:
        """Implement `ports.node.RemoteReadBacks.failures`."""
        nodes = [name for name in self._answering() if name not in without]
        if nodes:
            await self._wait_for(nodes, answers)
        left = [name for name in self._answering() if name in nodes and not self._is_gone(name)]
        if not left and not self._has_others:
            cause, remedy = (_NONE_SEEN, _START) if nodes else (_NO_NODE, _INVITE)
            return [ReadBack("none", _url(one), "the relay", None, cause, remedy) for one in answers]
        found = [(name, answer, self._failures(name, answer)) for name in left for answer in answers]
        await self._records.forget_missing_tokens(
            *((name, str(one.identifier)) for name, one, several in found if not several)
        )
        await self._records.record_missing_tokens(*(self._missing(*one) for one in found if one[2]))
        return [failure for *_, failures in found for failure in failures]

    async def _wait_for(self, nodes: Collection[str], answers: Sequence[Answer]) -> None:
        """Wait until later reports of these nodes will not differ; once more after an outage of the relay meanwhile."""
        heard = [name for name in nodes if self._is_expected(name)]

        def is_decided(among: Collection[str]) -> bool:
            left = set(among).intersection(self._answering())  # without nodes that were removed meanwhile
            return all(_is_decided(self._found(name, answer)) for name in left for answer in answers)

        for _ in range(_MOST_WAITS):
            await self._wait_for_relay()
            outages = self._feed.outages
            await self._reports.until(lambda: is_decided(nodes), _SILENT_WAIT_SECONDS)
            if not is_decided(heard):
                await self._reports.until(lambda: is_decided(nodes), _WAIT_SECONDS - _SILENT_WAIT_SECONDS)
            if outages == self._feed.outages:
                break

    async def _wait_for_relay(self) -> None:
        """Wait until the relay has the tokens; not for one that has lately stayed away longer than a restart takes."""
        if self._clock.monotonic() >= self._waits_from and not await self._feed.wait_until_filled(
            seconds=_AWAY_SECONDS
        ):
            self._waits_from = self._clock.monotonic() + _NEXT_WAIT_SECONDS

    def _missing(self, node: str, answer: Answer, failures: Sequence[ReadBack]) -> MissingToken:
        """Return what `status --nodes` shows."""
        status, words = failures[0].status, failures[0].cause or ""
        cause = f"HTTP {status}: {words}" if status else words
        is_reported = self._found(node, answer) is not None
        return MissingToken(node, str(answer.identifier), self._clock.now(), cause, is_reported)

    def _is_expected(self, node: str) -> bool:
        return self._clock.monotonic() - self._began <= _FIRST_SECONDS or self._reports.is_lately_heard(node)

    def _answering(self) -> list[str]:
        return [name for name, body in self._nodes().items() if body.answers]

    def _found(self, node: str, answer: Answer) -> PublicationReport | None:
        report = self._reports.of(node)
        return report.publications.get(self._jtis.get(answer.token, "")) if report else None

    def _failures(self, node: str, answer: Answer) -> Sequence[ReadBack]:
        found = self._found(node, answer)
        if found is not None and found.is_held:
            return [one for one in found.read_backs if one.cause is not None]
        refused = self._feed.refusal(_key(self._jtis.get(answer.token, "")))
        url = _url(answer)
        remedy = f"Check wellkeeper-node there, or add '--without {node}' to leave it out once."
        if refused is not None:
            return [ReadBack(node, url, "the relay", None, f"{refused.what}: {refused.why}", refused.remedy)]
        return [ReadBack(node, url, "the relay", None, self._cause(node, found), remedy)]

    def _cause(self, node: str, found: PublicationReport | None) -> str:
        if self._feed.failure:
            return self._feed.failure
        if found is not None:
            return f"its responder has not accepted the token: {found.error or 'it gave no reason'}"
        seen = self._reports.last.get(node)
        if seen is None:
            return "it has never reported"
        if seen.report.responder.error:  # the agent still tries to publish
            return f"its responder: {seen.report.responder.error}"
        # An agent whose clock is far ahead takes a new publication for an expired one.
        why = seen.clock_fault or f"its last report is from {format_time(seen.at)}"
        return f"it has not reported the token, {why}"

    def _publication(self, jti: str, number: int, body: PublicationBody) -> Record:
        now = int(self._clock.now().timestamp())
        return Record(_key(jti), number, now, now + _LIFETIME_SECONDS, body.to_json())

    def _counts(self) -> Iterator[tuple[str, str, int, Sequence[str]]]:
        """Yield node, token, number of fetches and clients."""
        for node, seen in self._reports.last.items():
            for token, fetch in seen.report.fetches.items():
                yield node, token, fetch.count, fetch.clients

    def _has_new_fetches(self) -> bool:
        return any(count != self._counted[node, token] for node, token, count, _ in self._counts())

    def _new_fetches(self) -> Iterator[tuple[str, str]]:
        """Yield token and client of each new fetch. An agent that restarted counts from zero again."""
        before, self._counted = self._counted, Counter()
        for node, token, count, clients in self._counts():
            self._counted[node, token] = count
            known = before[node, token]
            for number in range(min(count - known if count >= known else count, _MOST_FETCHES)):
                yield token, clients[number % len(clients)] if clients else ""


def _is_decided(found: PublicationReport | None) -> bool:
    """Return whether a later report will not differ: a responder that lacks the token may be restarting."""
    return found is not None and found.is_held


def _url(answer: Answer) -> str:
    return f"http://{answer.identifier}{wire.CHALLENGE_PREFIX}{answer.token}"


def _key(jti: str) -> str:
    return f"{Kind.PUBLICATION}/{jti}"


def _claim(message: str, name: str) -> str:
    """Return a claim of a message that we signed."""
    payload = message.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[name])
