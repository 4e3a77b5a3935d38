"""Answer the issuer on a unix socket, whose mode decides who may use it: all records, the lease, status, metrics."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from wellkeeper_client import relay_wire, wire
from wellkeeper_client.wire import WireError
from wellkeeper_relay import exchange
from wellkeeper_relay.access import Access
from wellkeeper_relay.metrics import Metrics
from wellkeeper_relay.store import Store
from wellkeeper_responder.clock import Clock
from wellkeeper_responder.connections import note_signature

_Action = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a relay that the issuer's socket gives access to; `status` returns what changes in /v1/status."""

    access: Access
    store: Store
    metrics: Metrics
    clock: Clock
    status: Callable[[], dict[str, Any]]


class Issuer:
    """Answer requests on the issuer's socket."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._paths: dict[str, dict[str, _Action]] = {
            relay_wire.RECORDS_PATH: {"GET": self._follow},
            relay_wire.LEASE_PATH: {"POST": self._acquire, "PUT": self._extend},
            wire.STATUS_PATH: {"GET": self._status},
            wire.HEALTH_PATH: {"GET": self._health},
            wire.METRICS_PATH: {"GET": self._metrics},
        }
        self._record: dict[str, _Action] = {"GET": self._get, "PUT": self._put, "DELETE": parts.access.delete}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        # The socket's mode admitted it: it is among the last to make room.
        note_signature(request)
        try:
            return await self._action(request)(request)
        except WireError as error:
            self._parts.metrics.refused["issuer", error.name] += 1
            return exchange.problem(error, self._parts.clock.timestamp())

    def _action(self, request: web.BaseRequest) -> _Action:
        actions = self._paths.get(request.raw_path.partition("?")[0], self._record)
        action = actions.get(request.method)
        if action is None:
            allow = ", ".join(actions)
            raise WireError(405, "method-not-allowed", f"expected {allow}", {"Allow": allow})
        return action

    async def _follow(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._parts.access.follow(request, _is_visible)

    async def _get(self, request: web.BaseRequest) -> web.StreamResponse:
        return self._parts.access.get(request, _is_visible)

    async def _put(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._parts.access.put(request, is_from_issuer=True)

    async def _acquire(self, request: web.BaseRequest) -> web.StreamResponse:
        found = exchange.query(request, "holder", "seconds")
        seconds = exchange.number(found, "seconds", relay_wire.MAX_LEASE_SECONDS)
        return exchange.reply(200, {"lease": self._parts.store.acquire(exchange.required(found, "holder"), seconds)})

    async def _extend(self, request: web.BaseRequest) -> web.StreamResponse:
        found = exchange.query(request, "lease", "seconds")
        seconds = exchange.number(found, "seconds", relay_wire.MAX_LEASE_SECONDS)
        lease = exchange.required(found, "lease")
        return exchange.reply(200, {"lease": lease if self._parts.store.extend(lease, seconds) else None})

    async def _status(self, _request: web.BaseRequest) -> web.StreamResponse:
        return exchange.reply(200, self._parts.status())

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="ok\n", headers=exchange.HEADERS)

    async def _metrics(self, _request: web.BaseRequest) -> web.StreamResponse:
        headers = {**exchange.HEADERS, "Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=self._parts.metrics.exposition(), headers=headers)


def _is_visible(_key: str) -> bool:
    return True
