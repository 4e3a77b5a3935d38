"""All responders of all nodes: hands them publications, takes them back, follows what they report about fetches.

The crossing between the two programs: everything here is said in the words of `wellkeeper_client.wire`.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
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

_log = logging.getLogger(__name__)

# Long enough for a slow CA with many names, short enough that a crashed issuer's tokens do not stay for long.
_LIFETIME_SECONDS: Final = 1800


@dataclass(slots=True)
class _Held:
    """What stands at the responders, and for how many; who was handed it, and who is known to have taken it."""

    answer: Answer
    publication: Publication
    message: str
    holders: int = 0
    handed: set[ResponderClient] = field(default_factory=set)
    taken: set[ResponderClient] = field(default_factory=set)


class AllResponders:
    """Implements `ports.Responders`. Use as an async context manager: it ends the connections."""

    def __init__(self, clients: Sequence[ResponderClient], publishing_key: Ed25519PrivateKey, clock: Clock) -> None:
        self._clients = tuple(clients)
        self._key = publishing_key
        self._clock = clock
        self._watches = Watches()
        self._published: dict[Answer, _Held] = {}
        # Which process of each responder was handed the first publication.
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
        """As `ports.Responders.publish`."""
        if not answers:
            yield
            return
        held = [self._hold(answer) for answer in dict.fromkeys(answers)]
        try:
            await self._hand_out(held)
            self._follow()
            yield
        finally:
            await self._withdraw([one for one in held if self._let_go(one)])

    @asynccontextmanager
    async def watch(self, token: str) -> AsyncIterator[FetchWatch]:
        """As `ports.Responders.watch`."""
        with self._watches.open(token) as watch:
            yield watch

    def _hold(self, answer: Answer) -> "_Held":
        """Certificates that share a name may share an authorization, and so its token: the last one withdraws it."""
        held = self._published.get(answer)
        if held is None:
            publication = self._publication(answer)
            held = self._published[answer] = _Held(answer, publication, sign_publication(publication, self._key))
        held.holders += 1
        return held

    def _let_go(self, held: "_Held") -> bool:
        """Whether nobody needs it any more."""
        held.holders -= 1
        if held.holders == 0:
            del self._published[held.answer]
        return held.holders == 0

    async def _hand_out(self, held: Sequence["_Held"]) -> None:
        async def all_to(client: ResponderClient) -> str | None:
            try:
                for one in held:
                    one.handed.add(client)
                    self._instances.setdefault(client, await client.put(one.answer.token, one.message))
                    one.taken.add(client)
            except PublishError as error:
                return str(error)
            return None

        failures = await asyncio.gather(*map(all_to, self._clients))
        text = "; ".join(failure for failure in failures if failure)
        if text:
            raise PublishError(f"the CA was not asked, because not every responder took the token: {text}")

    async def _withdraw(self, held: Sequence["_Held"]) -> None:
        """What cannot be withdrawn expires by itself: told, not raised."""
        now = int(self._clock.now().timestamp())
        messages = {one.answer: self._withdrawal(one.publication, now) for one in held}

        async def all_from(client: ResponderClient) -> None:
            # One whose answer was lost may have taken it all the same: it is asked, but nobody is told twice.
            handed = [one for one in held if client in one.handed]
            for number, one in enumerate(handed):
                try:
                    await client.delete(one.answer.token, messages[one.answer])
                except PublishError as error:
                    # One that hangs takes two seconds for each: the rest is left to expire as well.
                    left = sum(client in other.taken for other in handed[number:])
                    if left:
                        text = "%d tokens were not withdrawn and expire within %d s: %s"
                        _log.warning(text, left, _LIFETIME_SECONDS, error)
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
            feed = FetchFeed(client, self._watches, self._clock, self._hand_out_again, self._instances.get(client))
            self._feeds.append(asyncio.create_task(feed.run()))

    async def _hand_out_again(self, client: ResponderClient) -> None:
        """A responder lost its memory while the CA may still ask."""
        for held in list(self._published.values()):
            held.handed.add(client)
            await client.put(held.answer.token, held.message)
            held.taken.add(client)
