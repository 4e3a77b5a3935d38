"""A connection to an engine that may be hostile, frozen or gone: each reply has a limit in bytes and seconds.

Made of redis-py's connection, without its pools, which repeat commands and connect again unasked.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from redis._parsers import _AsyncRESP2Parser
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from wellkeeper_client import relay_wire
from wellkeeper_node.records.engine import EngineAddress
from wellkeeper_node.records.engine_errors import ReplicaError, SentinelsError, UnknownServiceError
from wellkeeper_node.resolver import DaemonResolver

# Of what arrives after one request; replies are asked for in pieces of about a megabyte.
MOST_BYTES: Final = 8 * 1024 * 1024
# A line has a length, a status or an error.
_LONGEST_LINE: Final = 64 * 1024
_LAST_PORT: Final = 65535
# What a server that is gone or hostile causes.
FAULTS: Final = (RedisError, OSError, ValueError, RecursionError)

Command = tuple[str | bytes | int, ...]
Reply = Any
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Access:
    """The place of an engine, who asks, and the seconds for a reply and for the time until it is connected.

    With a `sentinel_password`, the Sentinels are asked as `sentinel_user`, or as their default user.
    """

    address: EngineAddress
    user: str
    password: str = field(repr=False)
    call_seconds: float
    connect_seconds: float
    sentinel_password: str = field(default="", repr=False)
    sentinel_user: str = ""


class BoundedReader:
    """Reads at most MOST_BYTES until it is reset; what redis-py needs of a StreamReader."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._left = MOST_BYTES

    @property
    def has_ended(self) -> bool:
        return self._reader.at_eof()

    def reset(self) -> None:
        self._left = MOST_BYTES

    async def readline(self) -> bytes:
        try:
            line = await self._reader.readline()
        except ValueError as error:
            raise ConnectionAbortedError(0, f"it sent a line of more than {_LONGEST_LINE} bytes") from error
        self._take(len(line))
        return line

    async def readexactly(self, count: int) -> bytes:
        self._take(count)
        return await self._reader.readexactly(count)

    def _take(self, count: int) -> None:
        self._left -= count
        if count < 0 or self._left < 0:
            raise ConnectionAbortedError(0, f"it sent more than {MOST_BYTES} bytes")


class _Parser(_AsyncRESP2Parser):
    """Refuses negative lengths, at which redis-py's parser reads again, without an end, what it has buffered."""

    async def _read(self, length: int) -> bytes:
        if length < 0:
            raise InvalidResponse(f"it sent the length {length}")
        found: bytes = await super()._read(length)
        return found


class EngineConnection(AbstractConnection):
    """One connection; `ask` and `listen` raise RedisError and OSError, after which it is closed."""

    def __init__(self, access: Access, host: str = "", port: int = 0, *, is_sentinel: bool = False) -> None:
        address = access.address
        super().__init__(
            db=0 if is_sentinel else address.database,
            username=(access.sentinel_user if is_sentinel else access.user) or None,
            password=(access.sentinel_password if is_sentinel else access.password) or None,
            # With its own limit, redis-py calls asyncio.wait_for, which in Python 3.11 can lose a cancellation.
            socket_timeout=None,
            socket_connect_timeout=access.connect_seconds,
            protocol=2,
            # Not hiredis, which redis-py prefers where it is installed: it reads without a limit.
            parser_class=_Parser,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,  # Redis 7.0 does not know CLIENT SETINFO, not even in an ACL
        )
        self._address, self._host, self._port = address, host, port
        self._call_seconds, self._connect_seconds = access.call_seconds, access.connect_seconds

    def repr_pieces(self) -> list[tuple[str, str]]:
        return [("engine", self._address.text)]

    def _host_error(self) -> str:
        return f"{self._host}:{self._port}" if self._host else self._address.socket

    async def _connect(self) -> None:
        reader, writer = await self._streams()
        self._bounded = BoundedReader(reader)
        self._reader, self._writer = self._bounded, writer  # type: ignore[assignment]

    async def _streams(self) -> Streams:
        if self._address.socket:
            return await asyncio.open_unix_connection(self._address.socket, limit=_LONGEST_LINE)
        failures, found = list[OSError](), await self.addresses()
        for number, (address, port) in enumerate(found, 1):
            try:
                # A silent address leaves time for the others; `_opened` limits all together.
                async with asyncio.timeout(None if number == len(found) else self._connect_seconds / len(found)):
                    return await self._stream_to(address, port)
            except OSError as error:  # a host may have an address at which the engine does not listen
                failures.append(error)
        raise failures[0]

    async def addresses(self) -> Sequence[tuple[str, int]]:
        """Return those of the host, at least one. Raises OSError."""
        return [(one["host"], one["port"]) for one in await DaemonResolver().resolve(self._host, self._port)]

    async def _stream_to(self, address: str, port: int) -> Streams:
        if not self._address.is_encrypted:
            if not relay_wire.is_private(address):
                why = f"{self._host} has the public address {address}: use rediss:// or a VPN"
                raise OSError(0, why)
            return await asyncio.open_connection(address, port, limit=_LONGEST_LINE)
        context = ssl.create_default_context(cafile=self._address.ca_file or None)
        return await asyncio.open_connection(
            address, port, limit=_LONGEST_LINE, ssl=context, server_hostname=self._host
        )

    @property
    def has_ended(self) -> bool:
        """Return whether the engine has closed the connection, as far as is known."""
        return self._bounded.has_ended

    async def ask(self, *commands: Command) -> list[Reply]:
        """Return a reply for each command; one that the engine refused is a ResponseError."""
        await self.tell(*commands)
        return [await self._read() for _ in commands]

    async def tell(self, *commands: Command) -> None:
        self.reset()
        async with asyncio.timeout(self._call_seconds):
            await self.send_packed_command(self.pack_commands(commands), check_health=False)

    def reset(self) -> None:
        """Let as much arrive as after a request."""
        self._bounded.reset()

    async def subscribe(self, channels: Sequence[str]) -> None:
        """Have what is published on these channels sent; nothing but `listen` and PING is possible then."""
        await self.tell(("SUBSCRIBE", *channels))
        for _ in channels:
            reply = await self._read()
            if isinstance(reply, ResponseError):
                raise reply

    async def listen(self, seconds: float) -> Reply:
        """Return the next message, or None if there is none for so long."""
        return await self.read_response(timeout=seconds)

    async def sign_of_life(self, seconds: float) -> Reply:
        """Return the reply to a PING, or a message that came before. Raises TimeoutError."""
        await self.tell(("PING",))
        async with asyncio.timeout(seconds):
            return await self.read_response()

    async def _read(self) -> Reply:
        try:
            async with asyncio.timeout(self._call_seconds):
                return await self.read_response()
        except ResponseError as error:
            return error


async def connect(access: Access) -> EngineConnection:
    """Return a connection to the engine, or to the first primary that answers of those that the Sentinels name.

    A Sentinel that others do not reach may name a former one, which may be a replica now. Raises one of FAULTS.
    """
    address = access.address
    if not address.service:
        return await _opened(EngineConnection(access, *(address.hosts or (("", 0),))[0]))
    failures, tried = dict[str, Exception](), dict[tuple[str, int], Exception]()
    for host, port in address.hosts:
        try:
            place = await _primary(access, host, port)
        except Exception as error:  # noqa: BLE001 - another Sentinel may know it
            failures[f"{host}:{port}"] = error
            continue
        try:
            if place not in tried:
                replica = ReplicaError(f"{place[0]}:{place[1]}", address.service)
                return await _opened(EngineConnection(access, *place), replica)
        except FAULTS as error:
            tried[place] = error
    raise next(iter(tried.values()), SentinelsError(address.service, failures))


async def _primary(access: Access, host: str, port: int) -> tuple[str, int]:
    """Ask this Sentinel."""
    sentinel = await _opened(EngineConnection(access, host, port, is_sentinel=True))
    try:
        (found,) = await sentinel.ask(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", access.address.service))
        return _place(found)
    finally:
        await sentinel.disconnect(nowait=True)


async def _refuse_replica(connection: EngineConnection, error: ReplicaError) -> None:
    """Raise the error if the server says that it is a replica; one that does not say it may be the primary."""
    (reply,) = await connection.ask(("HELLO", 2))
    if isinstance(reply, list) and (b"role", b"replica") in pairwise(reply):
        raise error


def _place(reply: Reply) -> tuple[str, int]:
    """Return the address that a Sentinel has named. Raises what it replied instead, and UnknownServiceError."""
    if isinstance(reply, ResponseError):
        raise reply
    if reply is None:
        raise UnknownServiceError("it does not monitor this service")
    name, number = (one.decode() for one in reply)
    if not 0 < int(number) <= _LAST_PORT:
        raise ValueError(f"it names the port {number:.20}")
    return name, int(number)


async def _opened(connection: EngineConnection, replica: ReplicaError | None = None) -> EngineConnection:
    """Connect. Raises `replica`, if it is given, from a server that is one."""
    try:
        async with asyncio.timeout(connection.socket_connect_timeout):
            await connection.connect()  # type: ignore[no-untyped-call]
        if replica is not None:
            await _refuse_replica(connection, replica)
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection
