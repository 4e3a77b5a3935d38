"""Names and read-backs for the checks that ask nginx."""

from collections.abc import Mapping

from tests.fakes_deliver import dns
from wellkeeper_issuer.doctor.names import Name, Resolved
from wellkeeper_issuer.ports.dns import DnsReply, Outcome
from wellkeeper_node.model import Answer, Certificate, Identifier, IdentifierType, KeyAlgorithm, Node, ReadBack

WWW = dns("www.example")
NO_DATA = DnsReply(Outcome.NO_DATA)


def identifier(value: str) -> Identifier:
    return Identifier(IdentifierType.IP if value[0].isdigit() else IdentifierType.DNS, value)


def found(*addresses: str) -> DnsReply:
    return DnsReply(Outcome.FOUND, addresses) if addresses else NO_DATA


def resolved(*addresses: str, name: str = WWW.value, is_public: bool = True) -> Mapping[Identifier, Resolved]:
    """Return the replies about one name with these addresses."""
    ipv4, ipv6 = ([one for one in addresses if (":" in one) is is_ipv6] for is_ipv6 in (False, True))
    one = Resolved(Name(identifier(name), is_public), found(*ipv4), found(*ipv6))
    return {one.name.identifier: one}


class Probes:
    """`ports.Probes`: the challenge location answers everywhere, except as `answers` say by host and port.

    `asked` lists addresses and names.
    """

    def __init__(self) -> None:
        self.answers: dict[str, ReadBack] = {}
        self.asked: list[tuple[str, str]] = []

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        results = []
        for host, port in node.http_addresses:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            self.asked.append((address, answer.identifier.value))
            usual = ReadBack(node.name, "http://…", address, 404, "the token is unknown", is_token_unknown=True)
            results.append(self.answers.get(address, usual))
        return tuple(results)

    async def handshake(
        self,
        address: tuple[str, int],
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,
        speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        raise ValueError(f"no handshake is wanted: {address}, {identifier}, {key_algorithm}, {speaks_proxy_protocol}")


def elsewhere(address: str, status: int | None = 404, remedy: str = "Include it.") -> ReadBack:
    """Return the answer of something that is not the challenge location."""
    return ReadBack("local", "http://www.example/x", address, status, "it is not included", remedy, is_elsewhere=True)
