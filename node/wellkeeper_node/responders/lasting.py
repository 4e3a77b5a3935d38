"""Publish at all responders for another ACME client, so that the publication outlasts this process."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client.signing import Publication, Withdrawal, sign_publication, sign_withdrawal
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer
from wellkeeper_node.ports import Clock
from wellkeeper_node.responders.connection import Connection

# Other clients withdraw after some minutes at most; a crashed one leaves its token for so long.
_LIFETIME_SECONDS: Final = 1800


class LastingPublications:
    """The owner of the `clients` closes them."""

    def __init__(self, clients: Sequence[Connection], publishing_key: Ed25519PrivateKey, clock: Clock) -> None:
        self._clients = tuple(clients)
        self._key = publishing_key
        self._clock = clock

    def prepare(self, answer: Answer) -> Publication:
        """Return what `publish` takes: its `jti` can be recorded before."""
        now = self._now()
        identifier, jti = answer.identifier.value, secrets.token_urlsafe(16)
        return Publication(answer.token, answer.thumbprint, identifier, jti, now, now + _LIFETIME_SECONDS)

    async def publish(self, publication: Publication) -> None:
        """Publish at every responder. Raises the first PublishError after trying all of them."""
        message = sign_publication(publication, self._key)
        await self._ask_all(lambda client: client.put(publication.token, message))

    async def withdraw(self, token: str, jti: str) -> None:
        """Withdraw at every responder. Idempotent. Raises the first PublishError after trying all of them."""
        now = self._now()
        message = sign_withdrawal(Withdrawal(token, jti, now, now + _LIFETIME_SECONDS), self._key)
        taken = await self._ask_all(lambda client: client.delete(token, message))
        if not all(taken):
            raise PublishError(f"the relay does not answer, so token {token} stays published on its nodes")

    async def _ask_all(self, ask: Callable[[Connection], Awaitable[object]]) -> Sequence[object]:
        """Return the results; raise the first error once all have answered."""
        results = await asyncio.gather(*map(ask, self._clients), return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                raise error
        return results

    def _now(self) -> int:
        return int(self._clock.now().timestamp())
