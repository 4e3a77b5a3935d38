"""Publish tokens at all responders of all nodes, withdraw them, and follow the fetches that responders report.

This is the border between the two programs: all messages are those of `wellkeeper_client.wire`.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client.signing import Publication, Withdrawal, sign_publication, sign_withdrawal
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer
from wellkeeper_node.ports import Clock
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.fetch_feed import FetchFeed
from wellkeeper_node.responders.fetch_watch import FetchWatch, Watches
from wellkeeper_node.wording import counted

_log = logging.getLogger(__name__)

# Long enough for a slow CA with many names, short enough to remove the tokens of a crashed issuer soon.
_LIFETIME_SECONDS: Final = 1800
_SHOWN: Final = 3


@dataclass(slots=True)
class _Held:
    """A published answer and its number of users.

    The responders in `sent_to` may have it; those in `accepted_by` confirmed it, with the `instance_id` of the first
    process that did.
    """

    answer: Answer
    publication: Publication
    message: str
    holders: int = 0
    sent_to: set[ResponderClient] = field(default_factory=set)
    accepted_by: dict[ResponderClient, str] = field(default_factory=dict)


class AllResponders:
    """Implements `ports.Responders`; use as an async context manager, which closes the connections."""

    def __init__(self, clients: Sequence[ResponderClient], publishing_key: Ed25519PrivateKey, clock: Clock) -> None:
        self._clients = tuple(clients)
        self._key = publishing_key
        self._clock = clock
        self._watches = Watches()
        self._published: dict[Answer, _Held] = {}
        # The instance of each responder that got the first publication.
        self._instances: dict[ResponderClient, str] = {}
        self._feeds: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "AllResponders":
        return self

    async def __aexit__(self, *_: object) -> None:
        for feed in self._feeds:
            feed.cancel()
        await asyncio.gather(*self._feeds, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in self._clients))

    @asynccontextmanager
    async def publish(self, answers: Sequence[Answer]) -> AsyncIterator[None]:
        """Implement `ports.Responders.publish`."""
        if not answers:
            yield
            return
        held = [self._hold(answer) for answer in dict.fromkeys(answers)]
        try:
            await self._send(held)
            self._follow()
            yield
        finally:
            await self._withdraw([one for one in held if self._let_go(one)])

    async def publish_again(self, answers: Sequence[Answer]) -> bool:
        """Implement `ports.Responders.publish_again`."""
        held = [self._published[answer] for answer in dict.fromkeys(answers)]
        return await self._send(held)

    @asynccontextmanager
    async def watch(self, token: str) -> AsyncIterator[FetchWatch]:
        """Implement `ports.Responders.watch`."""
        with self._watches.open(token) as watch:
            yield watch

    def _hold(self, answer: Answer) -> "_Held":
        """Count one more user: certificates that share a name may share a token, and the last one withdraws it."""
        held = self._published.get(answer)
        if held is None:
            publication = self._publication(answer)
            held = self._published[answer] = _Held(answer, publication, sign_publication(publication, self._key))
        held.holders += 1
        return held

    def _let_go(self, held: "_Held") -> bool:
        """Count one user less, and return True when it was the last."""
        held.holders -= 1
        if held.holders == 0:
            del self._published[held.answer]
        return held.holders == 0

    async def _send(self, held: Sequence["_Held"]) -> bool:
        """Send to all responders; return True if a responder had accepted them before, and restarted since."""
        restarted = set()

        async def all_to(client: ResponderClient) -> PublishError | None:
            try:
                for one in held:
                    one.sent_to.add(client)
                    instance_id = await client.put(one.answer.token, one.message)
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
        now = int(self._clock.now().timestamp())
        messages = {one.answer: self._withdrawal(one.publication, now) for one in held}

        async def all_from(client: ResponderClient) -> None:
            # A responder whose reply was lost may hold the token: withdraw, but warn only about confirmed ones.
            sent = [one for one in held if client in one.sent_to]
            for number, one in enumerate(sent):
                try:
                    await client.delete(one.answer.token, messages[one.answer])
                except PublishError as error:
                    # A responder that hangs takes two seconds per token: let the rest expire as well.
                    left = sum(client in other.accepted_by for other in sent[number:])
                    if left:
                        text = "cannot withdraw %s, valid for up to %d s: %s"
                        _log.warning(text, counted(left, "token"), _LIFETIME_SECONDS, error)
                    return

        await asyncio.gather(*map(all_from, self._clients))

    def _withdrawal(self, publication: Publication, now: int) -> str:
        withdrawal = Withdrawal(publication.token, publication.jti, now, now + _LIFETIME_SECONDS)
        return sign_withdrawal(withdrawal, self._key)

    def _publication(self, answer: Answer) -> Publication:
        now = int(self._clock.now().timestamp())
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

    async def _publish_again(self, client: ResponderClient) -> None:
        """Publish all tokens to a responder that restarted while the CA may still fetch them."""
        for held in list(self._published.values()):
            held.sent_to.add(client)
            instance_id = await client.put(held.answer.token, held.message)
            held.accepted_by.setdefault(client, instance_id)


def _error(failures: Mapping[ResponderClient, PublishError]) -> PublishError:
    """Return one error that names the failed nodes and the cause at the first one."""
    nodes = [repr(client.node) for client in failures]
    shown = ", ".join(nodes[:_SHOWN]) + (f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else "")
    first = next(iter(failures.values()))
    why = ": ".join(part for part in (first.what, first.why) if part)
    node = "node" if len(nodes) == 1 else "nodes"
    return PublishError(f"cannot publish the tokens on {node} {shown}, so the CA was not asked", why, first.remedy)
