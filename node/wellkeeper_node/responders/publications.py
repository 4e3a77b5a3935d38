"""Publish tokens at all responders of all nodes, withdraw them, and follow the fetches that responders report.

This is the border between the two programs: all messages are those of `wellkeeper_client.wire`.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client.signing import Publication, Withdrawal, sign_publication, sign_withdrawal
from wellkeeper_node.errors import PublishError, WellkeeperError
from wellkeeper_node.model import Answer, Published
from wellkeeper_node.ports import Clock, PublicationRecords
from wellkeeper_node.responders.connection import Connection
from wellkeeper_node.responders.fetch_feed import FetchFeed
from wellkeeper_node.responders.fetch_watch import FetchWatch, Watches
from wellkeeper_node.wording import counted

_log = logging.getLogger(__name__)

# Long enough for a slow CA with many names, short enough to remove the tokens of a crashed issuer soon.
_LIFETIME_SECONDS: Final = 1800
# As long as the client of a responder waits for a reply: nothing is late because of tokens that expire anyway.
_WITHDRAW_SECONDS: Final = 2.0
_WITHDRAWN_AT_ONCE: Final = 8
_LEAVING_SECONDS: Final = 0.5
_SHOWN: Final = 3


@dataclass(slots=True)
class _Held:
    """A publication and its number of users.

    The responders in `sent_to` may have it; those in `accepted_by` confirmed it, with the `instance_id` of the first
    process that did.
    """

    published: Published
    message: str = ""
    holders: int = 0
    sent_to: set[Connection] = field(default_factory=set)
    accepted_by: dict[Connection, str] = field(default_factory=dict)


class AllResponders:
    """Implements `ports.Responders`; use as an async context manager, which closes the connections.

    Only the owner of the `records` may have them.
    """

    def __init__(
        self,
        clients: Sequence[Connection],
        publishing_key: Ed25519PrivateKey,
        clock: Clock,
        records: PublicationRecords | None = None,
        *,
        withdraw_seconds: float = _WITHDRAW_SECONDS,
    ) -> None:
        """`withdraw_seconds` is the longest time to withdraw any number of tokens."""
        self._clients = tuple(clients)
        self._key = publishing_key
        self._clock = clock
        self._records = records
        self._withdraw_seconds = withdraw_seconds
        self._watches = Watches()
        self._published: dict[Answer, _Held] = {}
        # The instance of each responder that got the first publication.
        self._instances: dict[Connection, str] = {}
        self._feeds: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "AllResponders":
        return self

    async def __aexit__(self, *_: object) -> None:
        for feed in self._feeds:
            feed.cancel()
        await asyncio.gather(*self._feeds, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in self._clients))

    @asynccontextmanager
    async def publish(self, answers: Sequence[Answer], lineage: str = "") -> AsyncIterator[None]:
        """Implement `ports.Responders.publish`."""
        if not answers:
            yield
            return
        held = {answer: self._hold(answer, lineage) for answer in dict.fromkeys(answers)}
        try:
            await self._record([one.published for one in held.values()])
            await self._send(list(held.values()))
            self._follow()
            yield
        finally:
            await self._withdraw([one for answer, one in held.items() if self._let_go(answer)])

    async def withdraw_left(self, lineage: str = "") -> None:
        """Implement `ports.Responders.withdraw_left`."""
        await self._withdraw(await self._left(lineage))

    @asynccontextmanager
    async def withdrawing_left(self) -> AsyncIterator[None]:
        """Withdraw meanwhile what no order needs; leaving ends what is not done by then, which stays recorded."""
        task = asyncio.create_task(self._withdraw(await self._left()))
        try:
            yield
        finally:
            try:
                await asyncio.wait([task], timeout=_LEAVING_SECONDS)
            finally:
                task.cancel()
                await asyncio.wait([task])

    async def _left(self, lineage: str = "") -> list["_Held"]:
        """Return what another process has left, and log how much it is."""
        records = self._records
        if records is None:
            return []
        found = await (records.read_publications(lineage) if lineage else records.read_unneeded())
        ours = {one.published.jti for one in self._published.values()}
        left = [one for one in found if one.jti not in ours and one.expires_at > self._now()]
        if left:
            _log.info("withdrawing %s that an earlier run left", counted(len(left), "token"))
        return [_Held(one, sent_to=set(self._clients)) for one in left]

    async def publish_again(self, answers: Sequence[Answer]) -> bool:
        """Implement `ports.Responders.publish_again`."""
        held = [self._published[answer] for answer in dict.fromkeys(answers)]
        return await self._send(held)

    @asynccontextmanager
    async def watch(self, token: str) -> AsyncIterator[FetchWatch]:
        """Implement `ports.Responders.watch`."""
        with self._watches.open(token) as watch:
            yield watch

    async def _record(self, published: Sequence[Published]) -> None:
        """Record what another process would have to withdraw if this one were killed."""
        recorded = [one for one in published if one.lineages]
        if self._records is not None and recorded:
            await self._records.record_publications(recorded, self._now())

    def _hold(self, answer: Answer, lineage: str) -> "_Held":
        """Count one more user: certificates that share a name may share a token, and the last one withdraws it."""
        held = self._published.get(answer)
        if held is None:
            publication = self._publication(answer)
            published = Published(publication.jti, answer.token, frozenset(), publication.expires_at)
            held = self._published[answer] = _Held(published, sign_publication(publication, self._key))
        if lineage:
            held.published = replace(held.published, lineages=held.published.lineages | {lineage})
        held.holders += 1
        return held

    def _let_go(self, answer: Answer) -> bool:
        """Count one user less, and return True when it was the last."""
        held = self._published[answer]
        held.holders -= 1
        if held.holders == 0:
            del self._published[answer]
        return held.holders == 0

    async def _send(self, held: Sequence["_Held"]) -> bool:
        """Send to all responders; return True if a responder had accepted them before, and restarted since."""
        restarted = set()

        async def all_to(client: Connection) -> PublishError | None:
            try:
                for one in held:
                    one.sent_to.add(client)
                    instance_id = await client.put(one.published.token, one.message)
                    self._instances.setdefault(client, instance_id)
                    if one.accepted_by.setdefault(client, instance_id) != instance_id:
                        restarted.add(client)
            except PublishError as error:
                return error
            return None

        results = await asyncio.gather(*map(all_to, self._clients))
        failures = {client: error for client, error in zip(self._clients, results, strict=True) if error}
        if failures:
            raise _error(failures)
        return bool(restarted)

    async def _withdraw(self, held: Sequence["_Held"]) -> None:
        """Withdraw; a token that cannot be withdrawn expires, so this is logged, not raised."""
        withdrawals = [(one, self._withdrawal(one.published)) for one in held]
        # A responder whose reply was lost may hold the token, too.
        await asyncio.gather(
            *(
                self._withdraw_from(client, [one for one in withdrawals if client in one[0].sent_to])
                for client in self._clients
            )
        )
        await self._forget([one.published for one in held if not one.sent_to and one.published.lineages])

    async def _withdraw_from(self, client: Connection, withdrawals: Sequence[tuple["_Held", str]]) -> None:
        """Withdraw several tokens at once, and stop when the responder fails or takes long: the rest expires."""
        waiting, confirmed = (
            list(reversed(withdrawals)),
            {one.published.jti for one, _ in withdrawals if client in one.accepted_by},
        )
        failures = list[str]()

        async def work() -> None:
            while waiting and not failures:
                one, message = waiting.pop()
                try:
                    if await client.delete(one.published.token, message):
                        one.sent_to.discard(client)
                    confirmed.discard(one.published.jti)
                except PublishError as error:
                    failures.append(str(error))

        try:
            async with asyncio.timeout(self._withdraw_seconds):
                await asyncio.gather(*(work() for _ in range(_WITHDRAWN_AT_ONCE)))
        except TimeoutError:
            failures.append(f"node {client.node!r} is too slow")
        if failures and confirmed:
            text = "cannot withdraw %s, valid for up to %d s: %s"
            _log.warning(text, counted(len(confirmed), "token"), _LIFETIME_SECONDS, failures[0])

    async def _forget(self, withdrawn: Sequence[Published]) -> None:
        """Forget what is recorded of them; what stays is withdrawn once more, so a failure is logged, not raised."""
        if self._records is None or not withdrawn:
            return
        try:
            await self._records.forget_publications(withdrawn)
        except WellkeeperError as error:
            _log.warning("cannot record that %s were withdrawn: %s", counted(len(withdrawn), "token"), error)

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _withdrawal(self, published: Published) -> str:
        now = self._now()
        withdrawal = Withdrawal(published.token, published.jti, now, now + _LIFETIME_SECONDS)
        return sign_withdrawal(withdrawal, self._key)

    def _publication(self, answer: Answer) -> Publication:
        now = self._now()
        return Publication(
            token=answer.token,
            thumbprint=answer.thumbprint,
            identifier=answer.identifier.value,
            jti=secrets.token_urlsafe(16),
            issued_at=now,
            expires_at=now + _LIFETIME_SECONDS,
        )

    def _follow(self) -> None:
        if self._feeds:
            return
        for client in self._clients:
            feed = FetchFeed(client, self._watches, self._clock, self._publish_again, self._instances.get(client))
            self._feeds.append(asyncio.create_task(feed.run()))

    async def _publish_again(self, client: Connection) -> None:
        """Publish all tokens to a responder that restarted while the CA may still fetch them."""
        for held in list(self._published.values()):
            held.sent_to.add(client)
            instance_id = await client.put(held.published.token, held.message)
            held.accepted_by.setdefault(client, instance_id)


def _error(failures: Mapping[Connection, PublishError]) -> PublishError:
    """Return one error that names the failed nodes and the cause at the first one."""
    nodes = [repr(client.node) for client in failures]
    shown = ", ".join(nodes[:_SHOWN]) + (f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else "")
    first = next(iter(failures.values()))
    why = ": ".join(part for part in (first.what, first.why) if part)
    node = "node" if len(nodes) == 1 else "nodes"
    return PublishError(f"cannot publish the tokens on {node} {shown}, so the CA was not asked", why, first.remedy)
