"""Play many nodes in one process: they follow a relay and report to it over TCP, without disk, nginx or responder.

`python -m bench.fleet.played HOST PORT COUNT EACH LINEAGES`. Each node has an address of its own in 127.0.0.0/8. It
follows and reports what an agent does: at once when tokens or the manifest change, and each minute. A line on standard
input asks for one of JSON on standard output: connections, and bytes in each direction.
"""

import asyncio
import base64
import json
import random
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

import click

from bench.fleet.shape import Shape, connection_address, signing_key
from wellkeeper_client import records, relay_wire, wire
from wellkeeper_client.records import Kind, kind_of
from wellkeeper_node.agent.links import FOLLOWED
from wellkeeper_node.agent.report import CertificateReport, CertificateState, PublicationReport, Report, ResponderReport

_WAIT_SECONDS: Final = 25
_REPORT_SECONDS: Final = 60.0
# An HTTP client closes an idle connection after this time.
_KEPT_SECONDS: Final = 15.0
_RETRY_SECONDS: Final = (0.2, 5.0)
_THUMBPRINT: Final = "x" * 43
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_NUMBER: Final = re.compile(rb'"number": ?(\d+)')
_MOST_HEADER: Final = 64 * 1024


class RefusedError(OSError):
    """The relay answered with another status than 200."""


@dataclass(slots=True)
class Traffic:
    """The connections and bytes of all nodes of this process."""

    connections: int = 0
    refused: int = 0
    sent: int = 0
    received: int = 0

    def to_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


@dataclass(slots=True)
class Connection:
    """A connection from an address of its own; use it for one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    traffic: Traffic

    async def ask(self, method: str, path: str, permit: str, body: bytes = b"") -> dict[str, Any]:
        """Return the reply. Raises OSError, also for a refusal, and IncompleteReadError."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {permit}\r\n"
            f"Content-Type: {wire.MESSAGE_MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            "Accept-Encoding: identity\r\n\r\n"
        )
        request = head.encode() + body
        self.writer.write(request)
        self.traffic.sent += len(request)
        found = await self.reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(found)
        reply = await self.reader.readexactly(int(length[1]) if length else 0)
        self.traffic.received += len(found) + len(reply)
        if found.split(maxsplit=2)[1] != b"200":
            self.traffic.refused += 1
            raise RefusedError(reply.decode())
        document: dict[str, Any] = json.loads(reply)
        return document

    async def close(self) -> None:
        self.traffic.connections -= 1
        self.writer.close()


@dataclass(slots=True)
class PlayedNode:
    """A node that holds every token and serves every certificate at once."""

    number: int
    shape: Shape
    address: tuple[str, int]
    traffic: Traffic
    manifest: int = 0
    held: dict[str, PublicationReport] = field(default_factory=dict)
    _reported: str = ""
    _last: int = 0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        return self.shape.node(self.number)

    async def run(self) -> None:
        """Follow and report until cancelled."""
        await asyncio.gather(self._follow(), self._report_each_minute())

    async def _follow(self) -> None:
        while True:
            try:
                connection = await self._connect()
                try:
                    await self._follow_over(connection)
                finally:
                    await connection.close()
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(random.uniform(*_RETRY_SECONDS))  # noqa: S311 - not a secret

    async def _follow_over(self, connection: Connection) -> None:
        path, permit = f"{relay_wire.RECORDS_PATH}?kinds={','.join(FOLLOWED)}", self._permit()
        query = ""
        while True:
            page = await connection.ask("GET", path + query, permit)
            found = [self._take(one) for one in page["records"]]
            if page["is_whole"] and (any(found) or page["is_snapshot"]):
                await self._report(connection)
            wait = _WAIT_SECONDS if page["is_whole"] else 0
            query = f"&instance={page['instance']}&after={page['next']}&wait={wait}"

    def _take(self, record: dict[str, str]) -> bool:
        """Note a token or a manifest; return whether there is something to report."""
        kind = kind_of(record["key"])
        if kind is Kind.MANIFEST:
            # The number is at the beginning; a node reads a manifest whole, but not all nodes in one process.
            payload = record["value"].split(".", 2)[1][:400]
            found = _NUMBER.search(base64.urlsafe_b64decode(payload))
            self.manifest = int(found[1]) if found else 0
        if kind is Kind.PUBLICATION:
            self.held[record["key"].partition("/")[2]] = PublicationReport(is_held=True)
        return kind in {Kind.MANIFEST, Kind.PUBLICATION}

    async def _report_each_minute(self) -> None:
        await asyncio.sleep(random.uniform(0, _REPORT_SECONDS))  # noqa: S311 - not a secret
        while True:
            try:
                connection = await self._connect()
                try:
                    await self._report(connection)
                    await asyncio.sleep(_KEPT_SECONDS)
                finally:
                    await connection.close()
            except (OSError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(_REPORT_SECONDS - _KEPT_SECONDS)

    async def _report(self, connection: Connection) -> None:
        async with self._lock:
            self._last = max(self._last + 1, int(time.time() * 1000))
            record = self._made().to_record(self.name, self._last, int(time.time()))
            message = records.sign(record, signing_key(self.number)).encode()
            expected = f"?expected={self._reported}" if self._reported else ""
            path = f"{relay_wire.RECORDS_PATH}/{Kind.REPORT}/{self.name}{expected}"
            self._reported = (await connection.ask("PUT", path, self._permit(), message))["version"]

    def _made(self) -> Report:
        one = CertificateReport(1, self.shape.leaf, CertificateState.SERVED)
        certificates = dict.fromkeys(self.shape.lineages_of(self.number), one)
        responder = ResponderReport("i" * 22, "1.2.3", (_THUMBPRINT,))
        return Report("1.2.3", time.time(), self.manifest, None, responder, self.held, {}, certificates)

    def _permit(self) -> str:
        return relay_wire.sign_permit(self.name, time.time(), signing_key(self.number))

    async def _connect(self) -> Connection:
        source = connection_address(self.number), 0
        reader, writer = await asyncio.open_connection(*self.address, local_addr=source, limit=_MOST_HEADER)
        self.traffic.connections += 1
        return Connection(reader, writer, self.traffic)


@click.command()
@click.argument("host")
@click.argument("port", type=int)
@click.argument("count", type=int)
@click.argument("each", type=int)
@click.argument("lineages", type=int)
def main(host: str, port: int, count: int, each: int, lineages: int) -> None:
    """Play COUNT nodes of a fleet of this shape until standard input ends."""
    asyncio.run(_run((host, port), Shape(count, lineages, each)))


async def _run(address: tuple[str, int], shape: Shape) -> None:
    traffic = Traffic()
    nodes = [PlayedNode(number, shape, address, traffic) for number in range(shape.nodes)]
    tasks = [asyncio.create_task(one.run()) for one in nodes]
    while await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(f"{traffic.to_json()}\n")
        sys.stdout.flush()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


if __name__ == "__main__":
    main()
