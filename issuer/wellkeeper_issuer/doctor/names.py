"""The names of the settings with their addresses in DNS, looked up once for all checks."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wellkeeper_issuer.doctor.lists import shortened
from wellkeeper_issuer.doctor.reserved import is_made_up, kind_of
from wellkeeper_issuer.ports.dns import Dns, DnsReply, Outcome, RecordType
from wellkeeper_node.model import Identifier, IdentifierType


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier of the settings. `is_public`: a public CA must reach it.

    `is_proven`: a public CA has reached it already, as a certificate for it is installed.
    """

    identifier: Identifier
    is_public: bool = True
    is_proven: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """The replies about one name; an IP address is its own."""

    name: Name
    ipv4: DnsReply
    ipv6: DnsReply

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses, in the order in which a CA tries them: IPv6 first."""
        return (*self.ipv6.addresses, *self.ipv4.addresses)

    @property
    def reachable(self) -> tuple[str, ...]:
        """The addresses that the CA may use: a public CA leaves out reserved ones."""
        return tuple(one for one in self.addresses if not (self.name.is_public and kind_of(one)))

    def __str__(self) -> str:
        return shortened(f"{'AAAA' if ':' in one else 'A'} {one}" for one in self.addresses)


async def resolve(names: Sequence[Name], dns: Dns) -> Mapping[Identifier, Resolved]:
    """Return the replies about all names."""
    found = await asyncio.gather(*(_resolve(name, dns) for name in names))
    return {one.name.identifier: one for one in found}


async def _resolve(name: Name, dns: Dns) -> Resolved:
    value = name.identifier.value
    if name.identifier.type is IdentifierType.IP:
        itself, none = DnsReply(Outcome.FOUND, (value,)), DnsReply(Outcome.NO_DATA)
        return Resolved(name, none, itself) if ":" in value else Resolved(name, itself, none)
    ipv4, ipv6 = await asyncio.gather(dns.ask(value, RecordType.A), dns.ask(value, RecordType.AAAA))
    return Resolved(name, ipv4, _without_made_up(ipv6))


def _without_made_up(reply: DnsReply) -> DnsReply:
    left = tuple(one for one in reply.addresses if not is_made_up(one))
    return reply if left or not reply.addresses else replace(reply, outcome=Outcome.NO_DATA, addresses=())
