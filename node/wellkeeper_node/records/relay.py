"""Records over a relay's HTTP: the issuer at its unix socket, nodes at its private address or by TLS.

The relay is not trusted: what it sends is bounded and only looks like records until the reader has checked them.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client import joining, relay_wire, wire
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.record_state import Page, Stored
from wellkeeper_client.records import Kind, kind_of
from wellkeeper_node.bodies import collect_body
from wellkeeper_node.errors import BusyError, ConflictError, RecordsError, UnavailableError
from wellkeeper_node.network_errors import words
from wellkeeper_node.ports import Clock
from wellkeeper_node.records import address as addresses
from wellkeeper_node.records import refusals, replies
from wellkeeper_node.records.port import Update
from wellkeeper_node.records.their_clock import TheirClock
from wellkeeper_node.sockets import SocketFaultError

# A relay answers from memory.
_CALL_SECONDS: Final = 2.0
# A relay that froze is noticed after this time and the one for a call; one that died, at once.
_WAIT_SECONDS: Final = 25
_PAUSE_SECONDS: Final = 1.0
_CHECK_NAME: Final = "Start the host of this name, or change relays in the settings of this node."
_CHANGE: Final = "Change relays in the settings of this node."


@dataclass(frozen=True, slots=True)
class Reader:
    """The node that reads, with its Ed25519 key; the relay knows both from the node's record."""

    node: str
    key: Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The time that the relay may wait before it answers, and the most bytes of its reply."""

    wait_seconds: float = 0
    longest: int = replies.SMALL


@dataclass(frozen=True, slots=True)
class _Carried:
    """A report for the next poll."""

    report: Stored
    expected: str | None
    failed: Callable[[], None]


class RelayRecords:
    """Implements `port.NodeRecords`. It connects with its first call and keeps the connection; the owner closes it.

    Without `reader`, for the issuer at its socket, nothing is signed. Raises ValueError for a wrong address. A node may
    write only its own report, and the manifest that it holds. `other_reader` is for one that does not know the first.
    """

    def __init__(
        self,
        address: str,
        clock: Clock,
        reader: Reader | None = None,
        *,
        other_reader: Reader | None = None,
        call_seconds: float = _CALL_SECONDS,
    ) -> None:
        self._address = addresses.parse(address)
        self._clock = clock
        self._reader, self._other_reader = reader, other_reader
        self._call_seconds = call_seconds
        self._session: aiohttp.ClientSession | None = None
        self._last_permit = 0.0, ""
        self._their_clock = TheirClock(clock)
        # As its last page said; older relays do not.
        self._takes_report = False
        self._carried: _Carried | None = None

    @property
    def clock_ahead_seconds(self) -> float | None:
        """Return how far the clock here is ahead of the relay's, as of its last reply; None before."""
        return self._their_clock.ahead_seconds

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: str | None = None,
        lease: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        query = {"expected": expected, "lease": lease, "expires_at": expires_at}
        body = await self._call("PUT", f"{relay_wire.RECORDS_PATH}/{key}", query, value)
        return self._read(body, replies.version)

    async def delete(self, key: str, *, expected: str, lease: str | None = None) -> None:
        await self._call("DELETE", f"{relay_wire.RECORDS_PATH}/{key}", {"expected": expected, "lease": lease})

    async def get(self, key: str) -> Stored | None:
        longest = kind_of(key).longest + replies.SMALL
        body = await self._call("GET", f"{relay_wire.RECORDS_PATH}/{key}", {}, bounds=_Bounds(longest=longest))
        return self._read(body, lambda found: replies.record(found, key))

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        instance, after, is_snapshot, is_whole, fruitless = "", 0, True, False, 0
        while True:
            asked_at = self._clock.monotonic()
            wait = _WAIT_SECONDS if is_whole else 0
            query = {"kinds": ",".join(kinds), "instance": instance, "after": str(after), "wait": str(wait)}
            found, page = await self._poll(kinds, query, wait)
            is_snapshot = is_snapshot or page.is_snapshot or found != instance
            is_news = bool(page.records or page.removed)
            if is_snapshot or is_news:
                yield Update(page.records, page.removed, is_snapshot, page.is_whole)
            instance, after, is_whole = found, page.next, page.is_whole
            del page  # up to a megabyte, while the next ones arrive
            is_snapshot = is_snapshot and not is_whole
            fruitless = 0 if is_news or self._clock.monotonic() - asked_at >= _PAUSE_SECONDS else fruitless + 1
            if fruitless > 1:  # a relay that does not wait must not keep this machine busy
                await self._clock.sleep(_PAUSE_SECONDS)

    async def join(self, exchange: str, request: bytes) -> Stored | None:
        """Send a request to join, and return the answer that the relay has; None if there is none after some seconds.

        `exchange` is that of the invite. A busy relay has none yet. Repeatable. Raises JoinRefusedError and
        UnavailableError.
        """
        path, wait = f"{relay_wire.JOIN_PATH}/{joining.invite_of(exchange)}", relay_wire.JOIN_WAIT_SECONDS
        longest = Kind.ANSWER.longest + replies.SMALL
        try:
            body = await self._call("POST", path, {}, request, _Bounds(wait, longest))
        except BusyError:
            return None
        return self._read(body, lambda found: replies.record(found, f"{Kind.ANSWER}/{exchange}"))

    def carry(self, report: Stored, expected: str | None, failed: Callable[[], None]) -> bool:
        if self._takes_report:
            self._carried = _Carried(report, expected, failed)
        return self._takes_report

    async def _poll(self, kinds: Sequence[Kind], query: Mapping[str, str], wait: int) -> tuple[str, Page]:
        """Ask for a page, and bring the report that waits for it."""
        bounds = _Bounds(wait, replies.longest_page(kinds))
        carried, self._carried = self._carried, None
        if carried is None:
            body = await self._call("GET", relay_wire.RECORDS_PATH, query, bounds=bounds)
        else:
            expected = {**query, "expected": carried.expected}
            try:
                body = await self._call("POST", relay_wire.RECORDS_PATH, expected, carried.report.value, bounds)
            except RecordsError as error:
                carried.failed()
                if not isinstance(error, ConflictError):
                    raise
                return await self._poll(kinds, query, wait)
        self._takes_report = body.get("takes_report") is True
        return self._read(body, lambda body: replies.page(body, kinds))

    async def status(self) -> Mapping[str, Any]:
        """Return what the relay says about itself, to the issuer only. Raises RecordsError."""
        return await self._call("GET", wire.STATUS_PATH, {})

    async def acquire(self, holder: str, seconds: int) -> str | None:
        body = await self._call("POST", relay_wire.LEASE_PATH, {"holder": holder, "seconds": seconds})
        return self._read(body, replies.lease)

    async def extend(self, lease: str, seconds: int) -> bool:
        body = await self._call("PUT", relay_wire.LEASE_PATH, {"lease": lease, "seconds": seconds})
        return self._read(body, replies.lease) is not None

    def _read(self, body: Mapping[str, Any], read: replies.Read[replies.T]) -> replies.T:
        try:
            return read(body)
        except (KeyError, TypeError, ValueError, MessageError) as error:
            why = one_line(repr(error), refusals.LONGEST_WORDS)
            raise UnavailableError(f"cannot use the reply of {self._name}", why, refusals.CHECK_ADDRESS) from error

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | float | None],
        value: bytes | None = None,
        bounds: _Bounds = _Bounds(),
    ) -> Mapping[str, Any]:
        limit_seconds = self._call_seconds + bounds.wait_seconds
        given = {name: str(one) for name, one in query.items() if one not in {None, ""}}
        try:
            async with (
                asyncio.timeout(limit_seconds),
                self._open().request(
                    method, self._address.base + path, params=given, data=value, headers=self._headers(path, value),
                    allow_redirects=False,
                ) as reply,
            ):  # fmt: skip
                self._their_clock.compare(reply.headers.get("Date", ""))
                body = replies.parse(await _text(reply, bounds.longest))
        except SocketFaultError as error:
            raise UnavailableError(f"cannot trust {self._name}", error.fault.why, error.fault.remedy) from error
        except TimeoutError as error:
            raise UnavailableError(f"{self._name} did not answer within {limit_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"cannot reach {self._name}", words(error), _remedy(error)) from error
        if reply.status != 200:
            if method == "GET" and self._other_reader is not None and refusals.problem(body) == refusals.UNKNOWN_KEY:
                self._reader, self._other_reader = self._other_reader, self._reader
                self._last_permit = 0.0, ""
            if self._reader is None and method == "PUT" and value is not None:
                raise refusals.record_refusal(self._name, reply.status, path, body)
            raise refusals.refusal(self._name, reply.status, body)
        return body

    def _headers(self, path: str, value: bytes | None) -> dict[str, str]:
        is_join = path.startswith(relay_wire.JOIN_PATH)
        media_type = relay_wire.JOIN_MEDIA_TYPE if is_join else wire.MESSAGE_MEDIA_TYPE
        headers = {} if value is None else {"Content-Type": media_type}
        return headers | ({"Authorization": f"Bearer {self._permit(self._reader)}"} if self._reader else {})

    def _permit(self, reader: Reader) -> str:
        """Return the last permit while half of its lifetime is left, even if the clock was changed."""
        now = self._clock.now().timestamp()
        signed_at, permit = self._last_permit
        if not permit or not 0 <= now - signed_at < relay_wire.PERMIT_SECONDS / 2:
            permit = relay_wire.sign_permit(reader.node, now, reader.key)
            self._last_permit = now, permit
        return permit

    @property
    def _name(self) -> str:
        return f"the relay at {self._address.text}"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._address.connector(),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                # The size of a compressed body is only known after decompression.
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(),  # `_call` limits all of it
            )
        return self._session


def _remedy(error: Exception) -> str:
    if not isinstance(error, aiohttp.ClientConnectorDNSError):
        return refusals.CHECK_ADDRESS
    return _CHECK_NAME if isinstance(error.os_error, socket.gaierror) else _CHANGE  # the address is public


async def _text(reply: aiohttp.ClientResponse, longest: int) -> str:
    """Return the reply, "" if it is longer. Its bytes are freed before it is parsed."""
    return replies.decode(await collect_body(reply, longest), longest)
