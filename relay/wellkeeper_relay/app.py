"""Put a relay together, start and stop it."""

import asyncio
import logging
import math
from collections.abc import Callable
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self

from wellkeeper_client.signing import decode_public_key
from wellkeeper_relay.access import Access
from wellkeeper_relay.exchange import PROGRAM
from wellkeeper_relay.issuer import Issuer, Parts
from wellkeeper_relay.joins import Joins
from wellkeeper_relay.keys import Keys
from wellkeeper_relay.metrics import Metrics
from wellkeeper_relay.names import private_hosts
from wellkeeper_relay.nodes import Nodes
from wellkeeper_relay.settings import Settings
from wellkeeper_relay.store import MAX_WAITING, Store
from wellkeeper_responder.capacity import Capacity, Limits
from wellkeeper_responder.clock import Clock
from wellkeeper_responder.connections import ConnectionServer, Handler
from wellkeeper_responder.listeners import Listener
from wellkeeper_responder.settings import Address

_log = logging.getLogger(__name__)

# May elapse twice (Listener.close), so that a stop takes at most two seconds.
STOP_SECONDS: Final = 0.8
_NO_LIMITS: Final = Limits()
# Nodes, and nginx in front, send ten headers of at most a kilobyte. Strangers may hold a thousand connections.
MAX_HEADER_LINE: Final = 2048
MAX_HEADERS: Final = 32
_HEADER_LIMITS: Final = {
    "max_line_size": MAX_HEADER_LINE,
    "max_field_size": MAX_HEADER_LINE,
    "max_headers": MAX_HEADERS,
}


def _ignore(_text: str) -> None:
    return


class Relay:
    """A relay in this process: `async with Relay(settings, clock) as relay`, or `start` and `stop`.

    It can be started only once. `node_addresses` have the real ports; `report` gets a line for people with each
    heartbeat. Of `limits`, `public` is for each listener of nodes, `control` for the issuer's.
    """

    def __init__(
        self, settings: Settings, clock: Clock, limits: Limits = _NO_LIMITS, report: Callable[[str], None] = _ignore
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._clock = clock
        self._report = report
        self._started_at = clock.timestamp()
        self._heartbeat_at = -math.inf
        self._metrics = Metrics(version("wellkeeper"))
        self._keys = Keys(map(decode_public_key, settings.fleet_keys), clock)
        self._store = Store(clock, settings.max_bytes)
        access = Access(self._keys, self._store, self._metrics, self._note_heartbeat)
        self._nodes = Nodes(access, Joins(self._store, self._keys), self._keys, self._metrics, clock)
        self._issuer = Issuer(Parts(access, self._store, self._metrics, clock, self._status))
        self._add_gauges()
        self._listeners: list[Listener] = []
        self._is_running = False

    @property
    def instance_id(self) -> str:
        return self._store.instance_id

    @property
    def node_addresses(self) -> tuple[Address, ...]:
        return tuple(listener.address for listener in self._listeners[1:])

    async def start(self) -> None:
        """Listen on all addresses, or on none when it raises ListenError."""
        settings = self._settings
        try:
            await self._listen("issuer", settings.issuer, settings.issuer_mode, self._issuer.handle)
            for address in settings.nodes:
                await self._listen("nodes", address, settings.nodes_mode, self._nodes.handle)
        except BaseException:
            await self.stop()
            raise
        fields = {
            "instance_id": self.instance_id,
            "version": version("wellkeeper"),
            "issuer": str(settings.issuer),
            "nodes": [str(address) for address in self.node_addresses],
            "fleet_key_ids": list(self._keys.fleet_key_ids),
        }
        self._is_running = True
        _log.info("start", extra={"fields": fields})

    async def stop(self) -> None:
        """Stop within two seconds: accept no connections, answer polls at once, finish open requests. Idempotent."""
        for listener in self._listeners:
            listener.stop_accepting()
        self._store.close()
        await asyncio.gather(*(listener.close(STOP_SECONDS) for listener in self._listeners))
        if self._is_running:
            self._is_running = False
            _log.info("stop", extra={"fields": {"instance_id": self.instance_id}})

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _note_heartbeat(self) -> None:
        self._heartbeat_at = self._clock.monotonic()
        self._report(f"fed by the issuer: {len(self._store)} records, {self._store.waiting_count} polls are waiting")

    @property
    def _heartbeat_age(self) -> float:
        return self._clock.monotonic() - self._heartbeat_at

    def _status(self) -> dict[str, Any]:
        age = self._heartbeat_age
        return {
            "instance_id": self.instance_id,
            "version": version("wellkeeper"),
            "started_at": round(self._started_at, 3),
            "fleet_key_ids": list(self._keys.fleet_key_ids),
            "heartbeat_age_seconds": round(age, 3) if math.isfinite(age) else None,
            "limits": {
                "bytes": self._settings.max_bytes,
                "waiting_polls": MAX_WAITING,
                "node_connections": self._limits.public,
                "issuer_connections": self._limits.control,
            },
            "counts": {
                "records": len(self._store),
                "bytes": self._store.used_bytes,
                "waiting_polls": self._store.waiting_count,
            },
            "clock": round(self._clock.timestamp(), 3),
        }

    def _add_gauges(self) -> None:
        store, name = self._store, "wellkeeper_relay_"
        self._metrics.add_gauge(f"{name}records", "Records that are stored.", lambda: len(store))
        self._metrics.add_gauge(f"{name}record_bytes", "Memory that they take.", lambda: store.used_bytes)
        self._metrics.add_gauge(f"{name}waiting_polls", "Polls that are waiting.", lambda: store.waiting_count)
        self._metrics.add_gauge(
            f"{name}heartbeat_age_seconds", "Time since the issuer's last heartbeat.", lambda: self._heartbeat_age
        )

    async def _listen(self, kind: str, address: Address, mode: int, handler: Handler) -> None:
        def refused() -> None:
            self._metrics.refused_connections[kind] += 1

        def closed() -> None:
            self._metrics.closed_connections[kind] += 1

        maximum = self._limits.control if kind == "issuer" else self._limits.public
        capacity = Capacity(maximum, refused, closed)
        self._metrics.capacities.append((kind, capacity))
        connections = ConnectionServer(handler, capacity, PROGRAM, _HEADER_LIMITS)
        self._listeners.append(await Listener.open(address, mode, connections, await private_hosts(address)))
