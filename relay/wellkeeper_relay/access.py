"""Follow, read, write and delete records, for issuer and nodes. A record is checked before it is stored."""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import records, relay_wire, wire
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.record_state import Stored, Wanted
from wellkeeper_client.records import MAX_NUMBER, Kind, Record
from wellkeeper_client.wire import WireError
from wellkeeper_relay import exchange
from wellkeeper_relay.keys import Keys, refusal
from wellkeeper_relay.metrics import Metrics
from wellkeeper_relay.store import Store

_log = logging.getLogger(__name__)

# Of these, a node may send an older one again.
_NUMBERED: Final = (Kind.MANIFEST, Kind.REPORT)
# What the query of a poll may have beside the poll's own, by its method.
_EXPECTED: Final = {"GET": (), "POST": ("expected",)}


class Access:
    """The records of a relay. `on_heartbeat` is called when the issuer sent one."""

    def __init__(self, keys: Keys, store: Store, metrics: Metrics, on_heartbeat: Callable[[], None]) -> None:
        self._keys = keys
        self._store = store
        self._metrics = metrics
        self._on_heartbeat = on_heartbeat
        self._numbers: dict[str, int] = {}

    def has(self, node: str) -> bool:
        """Return whether the node has a record."""
        return self._store.get(f"{Kind.NODE}/{node}") is not None

    async def follow(self, request: web.BaseRequest, is_visible: Callable[[str], bool], node: str = "") -> web.Response:
        """Wait for changes if the query says so, and answer with them.

        A `node` may send its report along: a POST has it in the body, and it is stored first. For a node, wraps of
        others are not even looked at: in a large fleet, these are most of the records.
        """
        found = exchange.query(request, "kinds", "instance", "after", "wait", *_EXPECTED[request.method])
        kinds = frozenset(exchange.required(found, "kinds").split(","))
        if unknown := sorted(kinds - set(Kind)):
            raise WireError(400, "malformed", f"{unknown[0]!r} is not a kind of record")
        after = exchange.number(found, "after", MAX_NUMBER)
        if request.method == "POST":
            await self._store_message(request, f"{Kind.REPORT}/{node}", found, is_from_issuer=False)
        wait = exchange.number(found, "wait", relay_wire.MAX_WAIT_SECONDS)
        # A number of another process means nothing: the follower gets a snapshot at once.
        if found.get("instance") != self._store.instance_id:
            after, wait = 0, 0
        groups = {f"{kind}/{node}" if node and kind == Kind.WRAP else kind for kind in kinds}
        wanted = Wanted(groups, is_visible)
        await self._store.wait(after, wanted, wait)
        return exchange.page(self._store.instance_id, self._store.page(after, wanted), takes_report=bool(node))

    def get(self, request: web.BaseRequest, is_visible: Callable[[str], bool]) -> web.Response:
        """Answer with the record in the path; one that may not be seen is not there."""
        exchange.query(request)
        key = key_in(request)
        return exchange.record(self._store.get(key) if is_visible(key) else None)

    async def put(self, request: web.BaseRequest, *, is_from_issuer: bool) -> web.Response:
        """Store the record in the body. From a node, its number must not be lower than one that was here before."""
        found = exchange.query(request, "expected", "lease", "expires_at")
        stored = await self._store_message(request, key_in(request), found, is_from_issuer=is_from_issuer)
        return exchange.reply(200, {"version": stored.version})

    async def _store_message(
        self, request: web.BaseRequest, key: str, found: Mapping[str, str], *, is_from_issuer: bool
    ) -> Stored:
        message = await exchange.message(request, records.kind_of(key).longest)
        record = self._keys.check_record(key, message)
        node_key = _node_key(record)
        if not is_from_issuer:
            self._check_number(record, message)
        # A node must not end the life of the fleet's manifest.
        limit = float(found.get("expires_at", math.inf)) if is_from_issuer else math.inf
        expires_at = min(record.expires_at + wire.MAX_CLOCK_SKEW_SECONDS, limit)
        stored = Stored(key, message, expires_at)
        if self._store.put(stored, found.get("expected"), found.get("lease")):
            self._metrics.stored[record.kind] += 1
        if record.kind in _NUMBERED:
            self._numbers[key] = record.number
        if node_key is not None and self._keys.enrol(records.node_of(key), node_key):
            self._forget_report(records.node_of(key))
            _log.info("enrol", extra={"fields": {"node": records.node_of(key)}})
        if record.kind is Kind.HEARTBEAT:
            self._on_heartbeat()
        return stored

    async def delete(self, request: web.BaseRequest) -> web.Response:
        """Delete the record in the path; a node without one may not read any more."""
        key, found = key_in(request), exchange.query(request, "expected", "lease")
        was_there = self._store.delete(key, exchange.required(found, "expected"), found.get("lease"))
        if was_there and records.kind_of(key) is Kind.NODE:
            self._forget_report(records.node_of(key))
            _log.info("forget", extra={"fields": {"node": records.node_of(key)}})
        return exchange.reply(200, {})

    def _forget_report(self, node: str) -> None:
        """Let another node of this name begin with any number."""
        key = f"{Kind.REPORT}/{node}"
        self._numbers.pop(key, None)
        if (current := self._store.get(key)) is not None:
            self._store.delete(key, current.version, None)

    def _check_number(self, record: Record, message: bytes) -> None:
        highest, current = self._numbers.get(record.key, -1), self._store.get(record.key)
        is_other = current is not None and current.value != message
        if record.number < highest or (record.number == highest and is_other):
            raise WireError(412, "conflict", f"{record.key} has had number {highest}, this is number {record.number}")


def key_in(request: web.BaseRequest) -> str:
    """Return the record's key in the path. Raises WireError."""
    path = request.raw_path.partition("?")[0]
    key = path.removeprefix(f"{relay_wire.RECORDS_PATH}/")
    if key == path:
        raise WireError(404, "not-found", f"expected {relay_wire.RECORDS_PATH}, or that with the key of a record")
    try:
        records.kind_of(key)
    except MessageError as error:
        raise refusal(error) from error
    return key


def _node_key(record: Record) -> Ed25519PublicKey | None:
    """Return the key in a node's record. Raises WireError."""
    try:
        return records.node_key(record) if record.kind is Kind.NODE else None
    except MessageError as error:
        raise refusal(error) from error
