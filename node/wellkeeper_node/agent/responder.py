"""Follow this node's responder: its restarts, the CA's fetches, and what it trusts."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node.agent.report import ResponderReport
from wellkeeper_node.agent.waiting import is_set_within
from wellkeeper_node.errors import PublishError
from wellkeeper_node.ports import Clock
from wellkeeper_node.responders.client import Fetches
from wellkeeper_node.responders.connection import Connection
from wellkeeper_node.responders.fetch_feed import FetchFeed
from wellkeeper_node.responders.fetch_watch import Watches

_LOOK_SECONDS: Final = 60.0


class _Client(Connection, Protocol):
    async def status(self) -> Mapping[str, Any]: ...


class _Tokens(Protocol):
    @property
    def watches(self) -> Watches: ...

    def check_instance(self, instance_id: str) -> None: ...


class OwnResponder:
    """The connection to the node's responder, and the last that was learned about it."""

    def __init__(self, client: _Client, clock: Clock, notify: Callable[[], None]) -> None:
        self._client = client
        self._clock = clock
        self._notify = notify
        self._changed = asyncio.Event()
        self._followers: list[_Tokens] = []
        self.node = client.node
        self.report = ResponderReport()

    async def close(self) -> None:
        await self._client.close()

    async def put(self, token: str, message: str) -> str:
        """Publish the token; waits for a responder that restarts. Raises PublishError."""
        return await self._client.put(token, message)

    async def delete(self, token: str, message: str) -> bool:
        """Withdraw the token. Raises PublishError."""
        return await self._client.delete(token, message)

    async def fetches(self, after: int, *, wait_seconds: int) -> Fetches:
        """Return the fetches, and notice that it ended or restarted. Raises PublishError."""
        try:
            found = await self._client.fetches(after, wait_seconds=wait_seconds)
        except PublishError:
            if self.report.error is None:
                self._changed.set()
            raise
        if found.instance_id != self.report.instance_id:
            self._changed.set()
        for tokens in self._followers:
            tokens.check_instance(found.instance_id)
        return found

    async def run(self, tokens: _Tokens) -> None:
        """Follow it until cancelled."""
        self._followers.append(tokens)
        feed = FetchFeed(self, tokens.watches, self._clock, _ignore, None)
        async with asyncio.TaskGroup() as group:
            group.create_task(feed.run())
            group.create_task(self._look())

    async def _look(self) -> None:
        while True:
            self._changed.clear()
            report = await self._read()
            if report != self.report:
                self.report = report
                self._notify()
            await is_set_within(self._changed, _LOOK_SECONDS)

    async def _read(self) -> ResponderReport:
        try:
            found = await self._client.status()
        except PublishError as error:
            return ResponderReport(error=str(error))
        return ResponderReport(
            one_line(found.get("instance_id", "")),
            one_line(found.get("version", "")),
            _texts(found.get("account_thumbprints")),
            publishing_key_ids=_texts(found.get("publishing_key_ids")),
        )


def _texts(values: object) -> tuple[str, ...]:
    return tuple(map(one_line, values)) if isinstance(values, list) else ()


async def _ignore(_client: Connection) -> None:
    """Do nothing: `fetches` has noticed the restart."""
