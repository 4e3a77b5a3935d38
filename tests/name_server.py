"""A name server in this process that answers as a test says, also in ways that real ones do not."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from stand.ports import free_port

Reply = Callable[[dns.message.Message], dns.message.Message | bytes | None]


def silent(_: dns.message.Message) -> None:
    """Send nothing."""


def refusing(rcode: dns.rcode.Rcode, explanation: str = "") -> Reply:
    """Answer with this status."""

    def reply(question: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(question)
        answer.set_rcode(rcode)
        if explanation:
            answer.use_edns(options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, explanation)])
        return answer

    return reply


def answering(*records: str) -> Reply:
    """Answer with these records, each as in a zone file: `www.example. 60 IN A 192.0.2.1`; without any: no data."""

    def reply(question: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(question)
        for record in records:
            name, ttl, _, kind, data = record.split(maxsplit=4)
            added = dns.rrset.from_text(name, int(ttl), "IN", kind, data)
            rrset = answer.find_rrset(answer.answer, added.name, added.rdclass, added.rdtype, create=True)
            for one in added:
                rrset.add(one)
        return answer

    return reply


class NameServer:
    """`async with NameServer() as server`; `replies` are by name (with a dot) and type, all others do not exist.

    `asked` lists the questions: name, type, and whether they came over TCP.
    """

    def __init__(self) -> None:
        self.replies: dict[tuple[str, str], Reply] = {}
        self.default: Reply = refusing(dns.rcode.NXDOMAIN)
        self.asked: list[tuple[str, str, bool]] = []
        self.is_truncating = False
        self._port = free_port()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), self.address)
        self._tcp = await asyncio.start_server(self._serve, *self.address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def answer(self, wire: bytes, *, is_tcp: bool) -> bytes | None:
        """Return the reply to a question, as bytes; None for silence."""
        question = dns.message.from_wire(wire)
        name, kind = question.question[0].name.to_text(), dns.rdatatype.to_text(question.question[0].rdtype)
        self.asked.append((name, kind, is_tcp))
        if self.is_truncating and not is_tcp:
            answer = dns.message.make_response(question)
            answer.flags |= dns.flags.TC
            return answer.to_wire()
        reply = self.replies.get((name, kind), self.default)(question)
        return reply.to_wire() if isinstance(reply, dns.message.Message) else reply

    def reply_to(self, wire: bytes, peer: tuple[str, int]) -> None:
        """Answer a datagram."""
        reply = self.answer(wire, is_tcp=False)
        if reply is not None:
            self._udp.sendto(reply, peer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = self.answer(await reader.readexactly(length), is_tcp=True)
        if reply is not None:
            writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.reply_to(data, addr)
