"""Explain failed read-backs of this host's nginx by its configuration, instead of guessing from the answer."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from wellkeeper_client import services
from wellkeeper_node.advice.words import remedy_for
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Answer, Node, ReadBack
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.route.causes import Causes
from wellkeeper_node.nginx.route.ending import Outcome
from wellkeeper_node.nginx.route.routes import Route, Router
from wellkeeper_node.nginx.route.words import REHEARSE
from wellkeeper_node.nginx.sites import Ports
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

# 10 000 server blocks take 9 s; a renewal that failed does not wait longer for its cause.
_LIMIT_SECONDS: Final = 10.0
# All names of a certificate fail together, and the daemon looks again every 30 s.
_FRESH_SECONDS: Final = 5.0
_SHARE: Final = 10
_NOT_FOUND: Final = 404
# What a user who is not root gets.
_FORBIDDEN: Final = "Permission denied"


class ConfigurationSource(Protocol):
    """The nginx of this host."""

    async def configuration(self) -> Configuration:
        """Return the configuration on disk (`nginx -T`). Raises ReloadError with nginx's words."""
        ...


class RouteCauses:
    """Finds causes in the configuration on disk; it is read only after a failure, once for all that come together."""

    def __init__(self, nginx: ConfigurationSource, clock: Clock, *, limit_seconds: float = _LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._nginx = nginx
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: Configuration | ReloadError | None = None
        self._fresh_until = 0.0

    async def explain(self, node: Node, answer: Answer, results: Sequence[ReadBack]) -> tuple[ReadBack, ...]:
        """Return the results of the node's addresses, in order, with better causes where there are any.

        Never raises, and takes ten seconds at most.
        """
        if not any(map(_is_unexplained, results)):
            return tuple(results)
        try:
            async with asyncio.timeout(self._limit_seconds):
                found = await self._configuration()
            return await asyncio.to_thread(_explained, found, node, answer, results)
        except TimeoutError:
            _log.info("nginx -T takes longer than %g s: no cause from nginx's configuration", self._limit_seconds)
        except Exception:  # noqa: BLE001 - a strange configuration must not fail a renewal
            _log.exception("cannot predict what nginx answers for %s", answer.identifier)
        return tuple(results)

    async def _configuration(self) -> Configuration | ReloadError:
        async with self._lock:
            began = self._clock.monotonic()
            if self._found is None or began >= self._fresh_until:
                try:
                    self._found = await self._nginx.configuration()
                except ReloadError as error:
                    self._found = error
                now = self._clock.monotonic()
                self._fresh_until = now + max(_FRESH_SECONDS, _SHARE * (now - began))
            return self._found


def _is_unexplained(result: ReadBack) -> bool:
    """Return whether the challenge location did not answer; its own 404 is explained by its header."""
    return result.cause is not None and (result.is_elsewhere or result.status != _NOT_FOUND)


def _explained(
    found: Configuration | ReloadError, node: Node, answer: Answer, results: Sequence[ReadBack]
) -> tuple[ReadBack, ...]:
    if isinstance(found, ReloadError):
        return tuple(_refused(found, one) if one.is_elsewhere else one for one in results)
    https = node.https_addresses[0][1] if node.https_addresses else Ports().https
    explained = []
    for (host, port), result in zip(node.http_addresses, results, strict=True):
        router = Router(found, Ports(port, https), node.speaks_proxy_protocol)
        if _is_unexplained(result) and not host.startswith("unix:"):
            result = _by_route(Causes(router), router.route(answer.identifier, host), result)  # noqa: PLW2901
        explained.append(result)
    return tuple(explained)


def _by_route(causes: Causes, route: Route, result: ReadBack) -> ReadBack:
    if route.outcome is Outcome.NO_LISTENER and not route.redirects:
        return result  # nginx listens elsewhere than the settings say, and they say so
    if route.is_good:
        return _not_loaded(route, result) if result.is_elsewhere else result
    found = causes.of(route)
    if found.fix == REHEARSE:
        return replace(result, cause=f"{result.cause}; see {found.place}" if found.place else result.cause)
    return replace(result, cause=found.cause, remedy=found.fix)


def _not_loaded(route: Route, result: ReadBack) -> ReadBack:
    """Explain an answer that the configuration on disk would not give."""
    place = route.site.place if route.site else "it"
    cause = f"nginx runs a different configuration from the one on disk, where {place} would answer"
    return replace(result, cause=cause, remedy=f"Run 'nginx -t', then {services.clause('reload', 'nginx')}.")


def _refused(error: ReloadError, result: ReadBack) -> ReadBack:
    if _FORBIDDEN in error.why:
        return result
    cause = f"nginx cannot load the configuration on disk: {error.why}"
    return replace(
        result, cause=cause, remedy=remedy_for(error.why) or "Fix it until 'nginx -t' passes, then reload nginx."
    )
