"""Ask name servers for records, with the status of each reply, within a bounded time, and cancellable.

The system's own resolver hides why a name has no address, reads /etc/hosts, which no CA does, cannot ask for CAA
records, and cannot be interrupted.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.CAA import CAA
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.ports.dns import CaaRecord, DnsReply, Outcome, RecordType
from wellkeeper_node.network_errors import words

RESOLV_CONF: Final = Path("/etc/resolv.conf")
_PORT: Final = 53
# resolv.conf(5)
_MOST_SERVERS: Final = 3
_ROUNDS: Final = 2
# Resolvers follow CNAMEs themselves; an authoritative server may leave the rest to its client.
_MOST_ALIASES: Final = 8
# DNS flag day 2020: larger UDP replies may be fragmented.
_PAYLOAD_BYTES: Final = 1232
_WORDS: Final = 200
_USABLE: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})

Server = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """`try_seconds` is the longest wait for one reply of one server, `total_seconds` for one question.

    After `silent_questions` in a row without any reply, the servers count as down.
    """

    try_seconds: float = 3.0
    total_seconds: float = 10.0
    questions_at_once: int = 8
    silent_questions: int = 8


def system_servers(path: Path = RESOLV_CONF) -> tuple[Server, ...]:
    """Return the name servers of this host; the loopback if it names none, as resolv.conf(5) says."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    found = [parts[1] for line in lines if len(parts := line.split()) > 1 and parts[0] == "nameserver"]
    return tuple((host, _PORT) for host in found[:_MOST_SERVERS] or ["127.0.0.1"])


class DnsClient:
    """Implements `ports.dns.Dns`. `servers` resolve names for others, and are asked in order.

    Asks each question once: use one object per run.
    """

    def __init__(self, servers: Sequence[Server], limits: Limits | None = None) -> None:
        self._servers = tuple(servers)
        self._limits = limits or Limits()
        self._slots = asyncio.Semaphore(self._limits.questions_at_once)
        self._asked: dict[tuple[str, RecordType], asyncio.Task[DnsReply]] = {}
        self._silent_count = 0

    async def ask(self, name: str, kind: RecordType) -> DnsReply:
        """Implement `ports.dns.Dns.ask`."""
        key = (name, kind)
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._answer(name, kind))
        # Another check may wait for the same answer.
        return await asyncio.shield(self._asked[key])

    async def _answer(self, name: str, kind: RecordType) -> DnsReply:
        try:
            asked = dns.name.from_text(name)
        except dns.exception.DNSException as error:
            return _failed(f"it is not a name in DNS: {one_line(error, _WORDS)}")
        async with self._slots:
            if self._silent_count >= self._limits.silent_questions:
                return _failed(f"the name servers do not answer ({self._named})")
            try:
                async with asyncio.timeout(self._limits.total_seconds):
                    return await self._follow(asked, dns.rdatatype.from_text(kind.value))
            except TimeoutError:
                self._silent_count += 1
                return _failed(f"no answer within {self._limits.total_seconds:g} s ({self._named})")

    async def _follow(self, asked: dns.name.Name, kind: dns.rdatatype.RdataType) -> DnsReply:
        """Return the reply about the name, or about the name that it is an alias of."""
        name, seen = asked, [asked]
        while True:
            reply = await self._exchange(name, kind)
            if isinstance(reply, str):
                return _failed(reply)
            found, following = _read(reply, asked)
            if found.outcome is not Outcome.NO_DATA or following == name:
                return found
            seen.append(following)
            if following in seen[:-1] or len(seen) > _MOST_ALIASES:
                return _failed(_loop(seen))
            name = following

    async def _exchange(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.QueryMessage | str:
        """Return the first usable reply, or the words of a refusal or of the last failure."""
        question = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD_BYTES)
        refusal = failure = ""
        for host, port in self._servers * _ROUNDS:
            try:
                reply, _ = await dns.asyncquery.udp_with_fallback(
                    question, host, self._limits.try_seconds, port, ignore_unexpected=True
                )
            except dns.exception.Timeout:
                failure = f"no answer from {host} within {self._limits.try_seconds:g} s"
                continue
            except (OSError, EOFError, ValueError, dns.exception.DNSException) as error:
                failure = f"{host}: {words(error)}"
                continue
            self._silent_count = 0
            if isinstance(reply, dns.message.QueryMessage) and reply.rcode() in _USABLE:
                return reply
            refusal = f"{host} replied {dns.rcode.to_text(reply.rcode())}{_extended(reply)}"
        self._silent_count += not refusal
        return refusal or failure

    @property
    def _named(self) -> str:
        return ", ".join(host for host, _ in self._servers)


def _read(reply: dns.message.QueryMessage, asked: dns.name.Name) -> tuple[DnsReply, dns.name.Name]:
    """Return what the reply says, and the name at the end of the CNAMEs in it."""
    try:
        chain = reply.resolve_chaining()
    except dns.message.ChainTooLong:
        return _failed(_loop([asked])), asked
    except dns.exception.DNSException as error:
        return _failed(f"a reply that makes no sense: {one_line(error, _WORDS)}"), asked
    name = chain.canonical_name
    target = "" if name == asked else _text(name)
    if chain.answer is not None:
        return _found(chain.answer, target), name
    outcome = Outcome.NO_NAME if reply.rcode() == dns.rcode.NXDOMAIN else Outcome.NO_DATA
    return DnsReply(outcome, target=target), name


def _found(answer: dns.rrset.RRset, target: str) -> DnsReply:
    caa = [
        CaaRecord(one.flags, _foreign(one.tag).lower(), _foreign(one.value)) for one in answer if isinstance(one, CAA)
    ]
    addresses = [one.address for one in answer if isinstance(one, A | AAAA)]
    return DnsReply(Outcome.FOUND, tuple(addresses), tuple(caa), target)


def _failed(why: str) -> DnsReply:
    return DnsReply(Outcome.FAILED, why=why)


def _loop(seen: Sequence[dns.name.Name]) -> str:
    return f"its CNAME records form a loop or a long chain: {' -> '.join(map(_text, seen))}"


def _text(name: dns.name.Name) -> str:
    return one_line(name.to_text(omit_final_dot=True), 255)


def _foreign(value: bytes) -> str:
    return one_line(value.decode(errors="replace"))


def _extended(reply: dns.message.Message) -> str:
    """Return the resolver's own explanation (RFC 8914), such as an expired DNSSEC signature."""
    texts = [one_line(one.text, _WORDS) for one in reply.extended_errors() if one.text]
    return f" ({'; '.join(texts)})" if texts else ""
