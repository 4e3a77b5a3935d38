"""Put a responder together, start and stop it."""

import asyncio
import logging
import secrets
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self

from wellkeeper_client.own_addresses import own_addresses
from wellkeeper_client.signing import decode_public_key
from wellkeeper_client.trust_file import Trust
from wellkeeper_responder.capacity import Capacity, Limits
from wellkeeper_responder.clock import Clock
from wellkeeper_responder.connections import ConnectionServer, Handler
from wellkeeper_responder.control import Control, Parts
from wellkeeper_responder.fetch_log import FetchLog
from wellkeeper_responder.fetches import MAX_HITS, MAX_MISSES, MAX_WAITING, Fetches
from wellkeeper_responder.holds import MAX_HELD, Holds
from wellkeeper_responder.listeners import Listener
from wellkeeper_responder.metrics import Metrics
from wellkeeper_responder.public import Public
from wellkeeper_responder.publishing_keys import PublishingKeys
from wellkeeper_responder.settings import Address, Settings, TcpAddress, UnixAddress
from wellkeeper_responder.tokens import Tokens

_log = logging.getLogger(__name__)

# May elapse twice (Listener.close), so that a stop takes at most two seconds.
STOP_SECONDS: Final = 0.8


class Responder:
    """A responder in this process: `async with Responder(settings, clock) as responder`, or `start` and `stop`.

    It can be started only once. `public_addresses` and `control_addresses` have the real ports.
    """

    def __init__(self, settings: Settings, clock: Clock, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self._settings = settings
        self._limits = {"public": limits.public, "control": limits.control}
        self.instance_id = secrets.token_urlsafe(16)
        self._metrics = Metrics(version("wellkeeper"))
        self._tokens = Tokens(clock, frozenset(), settings.max_tokens, settings.max_lifetime_seconds)
        self._fetches = Fetches(clock)
        self._keys = PublishingKeys(())
        self.replace_trust(settings.trust)
        self._facts = _facts(settings, clock, limits)
        self._is_running = False
        self._fetch_log = FetchLog(clock)
        self._holds = Holds(settings.hold_unknown_seconds)
        self._public = Public(self._tokens, self._fetches, self._metrics, self._fetch_log, self._holds)
        self._control = Control(
            Parts(
                clock,
                self._keys,
                self._tokens,
                self._fetches,
                self._metrics,
                self._holds,
                self.instance_id,
                self._trusted,
                self._facts,
            )
        )
        self._metrics.held = self._holds.ended
        self._metrics.add_gauge("wellkeeper_tokens", "Active publications.", lambda: len(self._tokens))
        self._metrics.add_gauge(
            "wellkeeper_waiting_polls", "Long polls that are waiting.", lambda: self._fetches.waiting_count
        )
        self._metrics.tokens_of_publishers = self._tokens_of_publishers
        self._listeners: dict[str, list[Listener]] = {"public": [], "control": []}

    @property
    def public_addresses(self) -> tuple[Address, ...]:
        return tuple(listener.address for listener in self._listeners["public"])

    @property
    def control_addresses(self) -> tuple[Address, ...]:
        return tuple(listener.address for listener in self._listeners["control"])

    def replace_trust(self, trust: Trust) -> None:
        """Trust these accounts and keys instead. A token of an account that is not among them gets 404 at once."""
        self._keys.replace(map(decode_public_key, trust.publishing_keys), trust.publishers)
        self._tokens.pin(frozenset(trust.account_thumbprints), trust.publishers)
        self._trust = trust

    async def start(self) -> None:
        """Listen on all addresses, or on none when it raises ListenError."""
        try:
            for address in self._settings.public:
                await self._listen("public", address, self._settings.public_mode, self._public.handle)
            for address in self._settings.control:
                handler = self._control.handle_over_tcp if isinstance(address, TcpAddress) else self._control.handle
                await self._listen("control", address, self._settings.control_mode, handler)
        except BaseException:
            await self.stop()
            raise
        fields = {
            "instance_id": self.instance_id,
            "version": self._facts["version"],
            "public": [str(address) for address in self.public_addresses],
            "control": [str(address) for address in self.control_addresses],
            **self._trusted(),
        }
        self._is_running = True
        _log.info("start", extra={"fields": fields})

    async def stop(self) -> None:
        """Stop within two seconds: accept no connections, answer polls at once, finish open requests. Idempotent."""
        listeners = [*self._listeners["public"], *self._listeners["control"]]
        for listener in listeners:
            listener.stop_accepting()
        self._fetches.close()
        self._holds.close()
        await asyncio.gather(*(listener.close(STOP_SECONDS) for listener in listeners))
        self._fetch_log.close()
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

    def _tokens_of_publishers(self) -> dict[str, float]:
        return {one.name: self._tokens.count_of(one.name) for one in self._trust.publishers}

    def _trusted(self) -> dict[str, list[Any]]:
        return {
            "account_thumbprints": list(self._trust.account_thumbprints),
            "publishing_key_ids": list(self._keys.key_ids),
            "publishers": [one.to_json() for one in self._trust.publishers],
        }

    async def _listen(self, kind: str, address: Address, mode: int, handler: Handler) -> None:
        if isinstance(address, TcpAddress) and address.is_exposed(own_addresses):
            fields = {"address": str(address), "kind": kind}
            _log.warning(
                "listening on a public address, which other networks may reach; prefer a unix socket or a private one",
                extra={"fields": fields},
            )
        connections = ConnectionServer(handler, self._capacity(kind, address))
        self._listeners[kind].append(await Listener.open(address, mode, connections))

    def _capacity(self, kind: str, address: Address) -> Capacity:
        def refused() -> None:
            self._metrics.refused_connections[kind] += 1

        def closed() -> None:
            self._metrics.closed_connections[kind] += 1

        maximum = self._limits[kind]
        # Every user of the machine may connect to the public socket.
        is_shared = kind == "public" and isinstance(address, UnixAddress)
        capacity = Capacity(maximum, refused, closed, per_peer=maximum // 2 if is_shared else None)
        self._metrics.capacities.append((kind, capacity))
        return capacity


def _facts(settings: Settings, clock: Clock, limits: Limits) -> dict[str, Any]:
    return {
        "version": version("wellkeeper"),
        "started_at": round(clock.now().timestamp(), 3),
        "public_addresses": [str(address) for address in settings.public],
        "limits": {
            "tokens": settings.max_tokens,
            "lifetime_seconds": settings.max_lifetime_seconds,
            "hits": MAX_HITS,
            "misses": MAX_MISSES,
            "waiting_polls": MAX_WAITING,
            "held_requests": MAX_HELD if settings.hold_unknown_seconds else 0,
            "public_connections": limits.public,
            "control_connections": limits.control,
        },
    }
