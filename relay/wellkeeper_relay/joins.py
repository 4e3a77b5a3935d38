"""Pass requests to join to the issuer, and its answers back. docs/design/0025-joining.md

Only for an invite that the issuer put here: its id, which is not secret, decides whether a body is read. There is one
request per invite. Another key replaces it only after the issuer refused it, which is deleting it. Of a reusable
invite, there is one request per key, while the node waits.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from wellkeeper_client import joining, records, relay_wire
from wellkeeper_client.joining import JoinRequest
from wellkeeper_client.record_state import Stored, Wanted
from wellkeeper_client.records import Kind
from wellkeeper_client.wire import WireError
from wellkeeper_relay import exchange
from wellkeeper_relay.keys import Keys, busy
from wellkeeper_relay.store import Store
from wellkeeper_responder.connections import peer_of

_log = logging.getLogger(__name__)

_PREFIX: Final = f"{relay_wire.JOIN_PATH}/"
# Nodes that wait at once with the same invite: their requests have up to 4 KiB each, and others ask again.
MOST_WAITING: Final = 64


class Joins:
    """Answer requests below JOIN_PATH."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._waiting: Counter[str] = Counter()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Keep the request, and answer with the issuer's record, or none if that takes longer. Raises WireError."""
        invite = self._invite(request)
        self._keys.take_stranger(peer_of(request))
        message = await exchange.message(request, joining.LONGEST_REQUEST, relay_wire.JOIN_MEDIA_TYPE)
        asked, name = _parsed(message), records.node_of(invite.key)
        if self._keys.check_record(invite.key, invite.value).body.get(joining.REUSABLE) is True:
            name = joining.exchange_of(name, asked.signing_key)
            with self.slot(f"{Kind.JOIN}/{name}"):
                return await self._exchange(name, message, asked, invite.expires_at)
        return await self._exchange(name, message, asked, invite.expires_at)

    @contextmanager
    def slot(self, key: str) -> Iterator[None]:
        """Keep the request under this key only while someone waits, and not too many. Raises WireError 429."""
        invite = joining.invite_of(key)
        if key not in self._waiting and sum(joining.invite_of(one) == invite for one in self._waiting) >= MOST_WAITING:
            raise busy()
        self._waiting[key] += 1
        try:
            yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                self._store.discard(key)

    async def _exchange(
        self, name: str, message: bytes, asked: JoinRequest, expires_at: float | None
    ) -> web.StreamResponse:
        """Keep the request under this name, and wait for the answer there. Raises WireError."""
        pending, answer = Stored(f"{Kind.JOIN}/{name}", message, expires_at), f"{Kind.ANSWER}/{name}"
        self._keep(pending, asked)
        # One request waits for each invite: places are few, and the id of an invite is not secret.
        self._store.wake(pending.key)
        if self._answer(answer, asked) is None:
            wanted = Wanted({Kind.ANSWER, Kind.JOIN}, {answer, pending.key}.__contains__)
            await self._store.wait_for_change(wanted, relay_wire.JOIN_WAIT_SECONDS)
        current = self._store.get(pending.key)
        if current is None or current.value != message:
            raise WireError(403, "refused", "the issuer refused the request; its log has the reason")
        return exchange.record(self._answer(answer, asked))

    def _answer(self, key: str, asked: JoinRequest) -> Stored | None:
        """Return the answer to this request; there may be one to an earlier request of the same node."""
        found = self._store.get(key)
        if found is None or self._keys.check_record(key, found.value).body.get("nonce") != asked.nonce:
            return None
        return found

    def _invite(self, request: web.BaseRequest) -> Stored:
        """Return the invite in the path, which the issuer has put here. Raises WireError."""
        if request.method != "POST":
            raise WireError(405, "method-not-allowed", "expected POST", {"Allow": "POST"})
        found = self._store.get(f"{Kind.INVITE}/{request.raw_path.removeprefix(_PREFIX)}")
        if found is None:
            raise WireError(401, "unknown-invite", "the invite is unknown here, has expired, or was revoked")
        return found

    def _keep(self, pending: Stored, asked: JoinRequest) -> None:
        """Store the request, also in place of an earlier one of the same node."""
        current = self._store.get(pending.key)
        if current is not None and _parsed(current.value).signing_key != asked.signing_key:
            raise WireError(403, "refused", "another node uses this invite")
        if self._store.put(pending, current.version if current else None, None):
            _log.info("join", extra={"fields": {"invite": records.node_of(pending.key)}})


def _parsed(message: bytes) -> JoinRequest:
    """Raises WireError."""
    try:
        return joining.parse_request(message)
    except ValueError as error:
        raise WireError(400, "malformed", str(error)) from error
