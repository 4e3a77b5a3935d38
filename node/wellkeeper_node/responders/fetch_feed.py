"""Follow one responder's feed of fetches while tokens are published."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from wellkeeper_node.errors import PublishError
from wellkeeper_node.ports import Clock
from wellkeeper_node.responders.connection import Connection
from wellkeeper_node.responders.fetch_watch import Watches

_log = logging.getLogger(__name__)

_WAIT_SECONDS: Final = 30
_FIRST_PAUSE_SECONDS: Final = 0.2
# A responder that restarted must have the tokens again before the CA fetches them.
_LONGEST_PAUSE_SECONDS: Final = 1.0
# Replies that come at once without a fetch of our tokens, as read-backs cause: more in a row only waste time.
_MOST_FRUITLESS: Final = 20


class FetchFeed:
    """The feed of one responder; `on_restart` is called when its instance lacks the publications."""

    def __init__(
        self,
        client: Connection,
        watches: Watches,
        clock: Clock,
        on_restart: Callable[[Connection], Awaitable[None]],
        instance_id: str | None,
    ) -> None:
        self._client = client
        self._watches = watches
        self._clock = clock
        self._on_restart = on_restart
        self._instance_id = instance_id
        self._after = 0
        self._is_waiting = False
        self._fruitless_count = 0

    async def run(self) -> None:
        """Follow until cancelled; retries while the responder is down, when validation polls the CA instead."""
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._step()
            except PublishError as error:
                self._is_waiting = False
                # Once per outage.
                level = logging.WARNING if pause_seconds == _FIRST_PAUSE_SECONDS else logging.DEBUG
                _log.log(level, "cannot read the fetches for now, polling the CA instead: %s", error)
                await self._clock.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
            else:
                pause_seconds = _FIRST_PAUSE_SECONDS

    async def _step(self) -> None:
        asked_at = self._clock.monotonic()
        reply = await self._client.fetches(self._after, wait_seconds=_WAIT_SECONDS if self._is_waiting else 0)
        if self._instance_id not in {None, reply.instance_id}:
            _log.warning("the responder of node %r restarted; publishing the tokens to it again", self._client.node)
            await self._on_restart(self._client)
        self._instance_id = reply.instance_id
        self._after = reply.next
        # A new instance answers a long poll late, because it has no fetches yet. So whenever the old one may have ended
        # (an error, or an empty poll, as from a responder that stops), the next poll does not wait.
        self._is_waiting = bool(reply.fetched) or not self._is_waiting
        is_ours = [self._watches.notify(token, client_address) for token, client_address in reply.fetched]
        if reply.is_incomplete:
            self._watches.notify_all()
        is_quick = self._clock.monotonic() - asked_at < _FIRST_PAUSE_SECONDS
        self._fruitless_count = self._fruitless_count + 1 if is_quick and not any(is_ours) else 0
        if self._fruitless_count > _MOST_FRUITLESS:
            await self._clock.sleep(_FIRST_PAUSE_SECONDS)
