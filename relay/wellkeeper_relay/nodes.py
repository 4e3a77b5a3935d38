"""Answer nodes: they follow what is for them, and write their report, and a manifest that the relay lacks.

Every request needs the permit of an enrolled node, before anything else is looked at, except one to join.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import web

from wellkeeper_client import records, relay_wire
from wellkeeper_client.records import Kind
from wellkeeper_client.wire import WireError
from wellkeeper_relay import exchange
from wellkeeper_relay.access import Access, key_in
from wellkeeper_relay.joins import Joins
from wellkeeper_relay.keys import Keys, busy
from wellkeeper_relay.metrics import Metrics
from wellkeeper_responder.clock import Clock
from wellkeeper_responder.connections import had_signature, note_signature, peer_of

# A poll, a report, a manifest, eight bundles, and one to spare.
MAX_REQUESTS: Final = 12
_FOR_ONE_NODE: Final = (Kind.WRAP, Kind.NODE, Kind.REPORT)
_JOIN: Final = f"{relay_wire.JOIN_PATH}/"
_FOR_NO_NODE: Final = (Kind.INVITE, Kind.JOIN, Kind.ANSWER)


class Nodes:
    """Answer requests on the listeners for nodes."""

    def __init__(self, access: Access, joins: Joins, keys: Keys, metrics: Metrics, clock: Clock) -> None:
        self._access = access
        self._joins = joins
        self._keys = keys
        self._metrics = metrics
        self._clock = clock
        self._open: Counter[str] = Counter()
        # The node of the last valid permit that came over a connection.
        self._nodes: WeakKeyDictionary[object, str] = WeakKeyDictionary()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.raw_path.startswith(_JOIN):
                return await self._joins.handle(request)
            node = self._reader(request)
            with self._slot(node):
                await asyncio.sleep(0)  # requests that arrive together are counted before one is answered
                return await _sent(request, await self._answer(request, node))
        except WireError as error:
            self._metrics.refused["nodes", error.name] += 1
            response = exchange.problem(error, self._clock.timestamp())
            if not had_signature(request):
                response.force_close()
            return response

    def _reader(self, request: web.BaseRequest) -> str:
        """Return the node whose permit the request carries. Raises WireError."""
        connection = request.protocol
        node = self._keys.check_permit(_permit(request), peer_of(request), self._nodes.get(connection))
        if not self._access.has(node):
            self._keys.forget(node)
            raise WireError(401, "unknown-key", f"the record of {node} expired")
        note_signature(request)
        self._nodes[connection] = node
        return node

    async def _answer(self, request: web.BaseRequest, node: str) -> web.Response:
        def is_visible(key: str) -> bool:
            kind = key.partition("/")[0]
            return kind not in _FOR_NO_NODE and (kind not in _FOR_ONE_NODE or records.node_of(key) == node)

        is_follow = request.raw_path.partition("?")[0] == relay_wire.RECORDS_PATH
        if is_follow:
            return await self._follow(request, node, is_visible)
        if request.method == "GET":
            return self._access.get(request, is_visible)
        if request.method != "PUT":
            raise WireError(405, "method-not-allowed", "expected GET or PUT of one record", {"Allow": "GET, PUT"})
        key = key_in(request)
        if key != f"{Kind.REPORT}/{node}" and records.kind_of(key) is not Kind.MANIFEST:
            raise WireError(403, "forbidden", "a node may write only its own report, and the manifest")
        self._keys.take_check(node)
        return await self._access.put(request, is_from_issuer=False)

    async def _follow(self, request: web.BaseRequest, node: str, is_visible: Callable[[str], bool]) -> web.Response:
        """Answer a poll, which may bring the node's report."""
        if request.method == "POST":
            self._keys.take_check(node)
        elif request.method != "GET":
            raise WireError(405, "method-not-allowed", "expected GET, or POST of a report", {"Allow": "GET, POST"})
        return await self._access.follow(request, is_visible, node)

    @contextmanager
    def _slot(self, node: str) -> Iterator[None]:
        """Limit what one node does at once. Raises WireError 429."""
        if self._open[node] >= MAX_REQUESTS:
            raise busy()
        self._open[node] += 1
        try:
            yield
        finally:
            self._open[node] -= 1
            if not self._open[node]:
                del self._open[node]


async def _sent(request: web.BaseRequest, response: web.Response) -> web.Response:
    """Send the answer, which takes memory until the node has read it, and return it without its body.

    aiohttp keeps the last answer of each connection.
    """
    with suppress(ConnectionError):  # the node has left
        await response.prepare(request)
        await response.write_eof()
    response.body = None
    return response


def _permit(request: web.BaseRequest) -> str:
    scheme, _, permit = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise WireError(401, "permit-required", f"this needs 'Authorization: Bearer' with a {relay_wire.PERMIT_TYPE}")
    return permit.strip()
