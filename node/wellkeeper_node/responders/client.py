"""A client of one responder's control listener over HTTP, at `unix:PATH` or `HOST:PORT`.

Raises PublishError with the node, the address and the remedy.
"""

import asyncio
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client import wire
from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.signing import Permit, sign_permit
from wellkeeper_node.bodies import read_body
from wellkeeper_node.errors import PublishError
from wellkeeper_node.network_errors import words
from wellkeeper_node.ports import Clock
from wellkeeper_node.resolver import DaemonResolver
from wellkeeper_node.sockets import OwnSocketConnector, SocketFaultError
from wellkeeper_node.wording import with_reload

_log = logging.getLogger(__name__)

# A responder answers from memory, within milliseconds; the CA must not wait for one that hangs.
_CALL_SECONDS: Final = 2.0
_PERMIT_SECONDS: Final = 300
# A responder that restarts is back within a few seconds. One that stays away must not delay every certificate.
_RESTART_SECONDS: Final = 10.0
_RESTART_POLL_SECONDS: Final = 0.2
_NEXT_WAIT_SECONDS: Final = 60.0
# A thousand fetches with the longest names and user agents, as JSON escapes them.
_LONGEST_BODY: Final = 4 * 1024 * 1024
_LAST_SEQUENCE: Final = 2**63 - 1
_LONGEST_ID: Final = 64
_LONGEST_WORDS: Final = 300
_CHECK_ADDRESS: Final = "Check that this is the --control address of wellkeeper-responder."


@dataclass(frozen=True, slots=True)
class Fetches:
    """One reply of the feed: token and client of each fetch that is not a read-back."""

    instance_id: str
    next: int
    is_incomplete: bool
    fetched: tuple[tuple[str, str], ...]


class _UnreachableError(PublishError):
    """Nothing listens at the address, or it closed the connection: the responder may be restarting."""


class ResponderClient:
    """A client that connects with its first call and keeps the connection; `call_seconds` limits each call.

    The owner closes it.
    """

    def __init__(  # noqa: PLR0913 - the last two have defaults that fit
        self,
        node: str,
        address: str,
        publishing_key: Ed25519PrivateKey,
        clock: Clock,
        *,
        call_seconds: float = _CALL_SECONDS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.node = node
        self.address = address
        self._key = publishing_key
        self._clock = clock
        self._call_seconds = call_seconds
        self._resolver = resolver or DaemonResolver(limit_seconds=call_seconds / 2)
        self._session: aiohttp.ClientSession | None = None
        self._was_warned = False
        self._last_permit = 0, ""
        self._waits_until = -math.inf

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def put(self, token: str, message: str) -> str:
        """Publish the token and return the `instance_id` of the process that holds it in memory. Idempotent.

        Waits up to ten seconds for a responder that restarts.
        """
        body = await self._put(wire.TOKENS_PREFIX + token, message)
        if "instance_id" not in body:
            raise PublishError(
                f"{self._name} is not a wellkeeper-responder", "its reply has no instance_id", _CHECK_ADDRESS
            )
        if "warning" in body and not self._was_warned:
            self._was_warned = True
            _log.warning("%s: %s", self._name, one_line(body["warning"], _LONGEST_WORDS))
        return one_line(body["instance_id"], _LONGEST_ID)

    async def delete(self, token: str, message: str) -> bool:
        """Withdraw the token and return True. Idempotent."""
        await self._call("DELETE", wire.TOKENS_PREFIX + token, message=message)
        return True

    async def fetches(self, after: int, *, wait_seconds: int) -> Fetches:
        """Return the fetches after the sequence number `after`; waits up to `wait_seconds` for one."""
        path = f"{wire.FETCHES_PATH}?after={after}&wait={wait_seconds}"
        body = await self._call("GET", path, wait_seconds=wait_seconds)
        try:
            return Fetches(
                instance_id=one_line(body["instance_id"], _LONGEST_ID),
                next=_sequence(body["next"]),
                is_incomplete=body["gap"] is not None,
                fetched=tuple(
                    (str(one["token"]), one_line(one.get("client_address") or "an unknown address", _LONGEST_ID))
                    for one in body["fetches"]
                    if not one["is_read_back"]
                ),
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise PublishError(
                f"cannot read the fetches of {self._name}",
                one_line(f"a member of its reply is missing or malformed: {error}", _LONGEST_WORDS),
                "Update wellkeeper-responder on this node.",
            ) from error

    async def status(self) -> Mapping[str, Any]:
        return await self._call("GET", wire.STATUS_PATH)

    @property
    def _name(self) -> str:
        return f"the responder of node {self.node!r} ({self.address})"

    async def _put(self, path: str, message: str) -> Mapping[str, Any]:
        while True:
            try:
                body = await self._call("PUT", path, message=message)
            except _UnreachableError:
                now = self._clock.monotonic()
                if now >= self._waits_until + _NEXT_WAIT_SECONDS - _RESTART_SECONDS:
                    _log.warning("cannot reach %s, waiting %g s for it", self._name, _RESTART_SECONDS)
                    self._waits_until = now + _RESTART_SECONDS
                if now >= self._waits_until:
                    raise
                await self._clock.sleep(_RESTART_POLL_SECONDS)
            else:
                self._waits_until = -math.inf
                return body

    async def _call(
        self, method: str, path: str, *, message: str | None = None, wait_seconds: float = 0
    ) -> Mapping[str, Any]:
        headers = (
            {"Content-Type": wire.MESSAGE_MEDIA_TYPE} if message else {"Authorization": f"Bearer {self._permit()}"}
        )
        limit_seconds = self._call_seconds + wait_seconds
        try:
            async with (
                asyncio.timeout(limit_seconds),
                self._open().request(
                    method, self._base + path, data=message, headers=headers, allow_redirects=False
                ) as reply,
            ):
                body = await _json(reply)
        except SocketFaultError as error:
            raise PublishError(f"cannot trust {self._name}", error.fault.why, error.fault.remedy) from error
        except TimeoutError as error:
            raise PublishError(
                f"{self._name} did not answer within {limit_seconds:g} s", remedy="Check the responder's log."
            ) from error
        except ValueError as error:
            raise PublishError(f"cannot use the reply of {self._name}", str(error), _CHECK_ADDRESS) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error)(f"cannot reach {self._name}", words(error), _remedy(error)) from error
        if reply.status >= 300:
            detail = one_line(body.get("detail", ""), _LONGEST_WORDS)
            remedy = self._about_clocks(body) if detail else _CHECK_ADDRESS
            raise PublishError(f"{self._name} refused with HTTP {reply.status}", detail, remedy)
        return body

    @property
    def _socket(self) -> str:
        """Return the path of the unix socket; empty for another address."""
        return self.address.removeprefix("unix:") if self.address.startswith("unix:") else ""

    def _about_clocks(self, body: Mapping[str, Any]) -> str:
        """Return the remedy when the clocks differ; refusals for the time contain the responder's clock."""
        clock = body.get("clock")
        ahead = (
            clock - self._clock.now().timestamp()
            if isinstance(clock, int | float) and 0 <= clock < wire.MAX_TIME
            else 0
        )
        if abs(ahead) <= wire.CLOCK_WARNING_SECONDS:
            return ""
        direction = "ahead of" if ahead > 0 else "behind"
        return f"Synchronize the clocks by NTP: the responder's is {abs(ahead):.0f} s {direction} the issuer's."

    def _permit(self) -> str:
        """Return the last permit while half of its lifetime is left, even if the clock was changed."""
        now = int(self._clock.now().timestamp())
        signed_at, permit = self._last_permit
        if not permit or not 0 <= now - signed_at < _PERMIT_SECONDS / 2:
            permit = sign_permit(Permit(now, now + _PERMIT_SECONDS), self._key)
            self._last_permit = now, permit
        return permit

    @property
    def _base(self) -> str:
        return "http://responder" if self._socket else f"http://{self.address}"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = OwnSocketConnector(self._socket) if self._socket else _tcp_connector(self._resolver)
            self._session = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                # The size of a compressed body is only known after decompression.
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
            )
        return self._session


def _tcp_connector(resolver: AbstractResolver) -> aiohttp.TCPConnector:
    """Return a connector that follows a name to another address."""
    return aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)


def _sequence(value: object) -> int:
    """Raises ValueError."""
    if not isinstance(value, int) or not 0 <= value <= _LAST_SEQUENCE:
        raise ValueError(f"{value!r:.80} is not a sequence number")
    return value


async def _json(reply: aiohttp.ClientResponse) -> Mapping[str, Any]:
    """Return the reply's JSON object, empty when it is not one: the caller looks at the status. Raises ValueError."""
    body = await read_body(reply, _LONGEST_BODY)
    if len(body) > _LONGEST_BODY:
        raise ValueError(f"its reply is longer than {_LONGEST_BODY // 1024} KiB")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _failure(error: Exception) -> type[PublishError]:
    is_gone = isinstance(error, aiohttp.ClientConnectionError | ConnectionError)
    return _UnreachableError if is_gone and not _is_forbidden(error) else PublishError


def _is_forbidden(error: Exception) -> bool:
    return isinstance(getattr(error, "os_error", error), PermissionError)


def _remedy(error: Exception) -> str:
    if _is_forbidden(error):
        return "Run the issuer as a member of the socket's group."
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return with_reload("Start the host of this name, or change 'responder' of this node in the settings.")
    return "Check that wellkeeper-responder runs there with this --control address."
