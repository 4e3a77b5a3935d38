"""Read-backs of this host's nginx: over the family of IPv6, too, and with the addresses of the name."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from wellkeeper_node.model import Answer, Certificate, Identifier, IdentifierType, KeyAlgorithm, Node, ReadBack
from wellkeeper_node.probes.local import LocalProbes, Names

NODE = Node("local", "unix:/c", (("127.0.0.1", 8080),), ())
ANSWER = Answer("t" * 43, "h" * 43, dns("a.example"))
V4, V6 = "192.0.2.7", "2001:db8::7"


class Probes:
    """Answers each address with a cause of `causes`; `statuses` differ from 404 where they are given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.causes: dict[str, str] = {}
        self.statuses: dict[str, int | None] = {}

    async def read_back(self, node: Node, _answer: Answer) -> tuple[ReadBack, ...]:
        self.asked += node.http_addresses
        return tuple(self._result(node, host) for host, _ in node.http_addresses)

    def _result(self, node: Node, host: str) -> ReadBack:
        cause = self.causes.get(host)
        return ReadBack(node.name, "http://a.example/", host, self.statuses.get(host, 404 if cause else 200), cause)

    async def handshake(
        self,
        address: tuple[str, int],
        _identifier: Identifier,
        _key_algorithm: KeyAlgorithm | None = None,
        _speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        self.asked.append(address)
        return None


class Dns:
    """The addresses of every name, an error, or no answer."""

    def __init__(self) -> None:
        self.addresses: Sequence[str] = (V6, V4)
        self.error: OSError | None = None
        self.hangs = False
        self.here = {V4, V6}
        self.asked = 0

    async def resolve(self, _name: str) -> Sequence[str]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return self.addresses


class Causes:
    """Explains every failure."""

    async def explain(self, _node: Node, _answer: Answer, results: Sequence[ReadBack]) -> tuple[ReadBack, ...]:
        return tuple(replace(one, cause=f"why: {one.cause}") if one.cause else one for one in results)


class Setup:
    def __init__(self, clock: FakeClock) -> None:
        self.probes, self.dns = Probes(), Dns()
        names = Names(self.dns.resolve, self.dns.here.__contains__, 0.01)
        self.local = LocalProbes(self.probes, "local", names, Causes(), clock)

    async def causes(self, node: Node = NODE, answer: Answer = ANSWER) -> list[str | None]:
        return [one.cause for one in await self.local.read_back(node, answer)]


@pytest.fixture
def setup(clock: FakeClock) -> Setup:
    return Setup(clock)


async def test_address_of_this_host_in_dns_is_asked_over_the_other_family(setup: Setup) -> None:
    assert await setup.causes() == [None, None]
    assert setup.probes.asked == [("127.0.0.1", 8080), (V6, 8080)]


@pytest.mark.parametrize(
    ("addresses", "http_addresses"),
    [((V4,), NODE.http_addresses), (("2001:db8::8",), NODE.http_addresses), ((V6,), (("::1", 80), ("127.0.0.1", 80)))],
    ids=["same family", "another host", "both in the settings"],
)
async def test_no_further_address_is_asked(
    setup: Setup, addresses: Sequence[str], http_addresses: tuple[tuple[str, int], ...]
) -> None:
    setup.dns.addresses = addresses
    await setup.causes(replace(NODE, http_addresses=http_addresses))
    assert setup.probes.asked == list(http_addresses)


async def test_loopback_in_etc_hosts_is_not_asked(setup: Setup) -> None:
    setup.dns.addresses = ("::1",)
    setup.dns.here.add("::1")
    assert await setup.causes() == [None]


async def test_failure_has_a_cause_and_the_addresses_of_the_name(setup: Setup) -> None:
    setup.probes.causes = {"127.0.0.1": "x", V6: "y"}
    assert await setup.causes() == [
        f"why: x (a.example has the addresses {V6}, {V4})",
        f"why: y (a.example has the addresses {V6}, {V4})",
    ]


async def test_further_address_that_refuses_connections_is_left_out(setup: Setup) -> None:
    """The CA then tries the other family."""
    setup.probes.causes = {V6: "connection refused"}
    setup.probes.statuses = {V6: None}
    assert await setup.causes() == [None]


async def test_only_this_host_is_resolved(setup: Setup) -> None:
    setup.probes.causes = {"127.0.0.1": "x"}
    address = replace(ANSWER, identifier=Identifier(IdentifierType.IP, V6))
    assert await setup.causes(replace(NODE, name="other")) == ["x"]
    assert await setup.causes(replace(NODE, http_addresses=())) == []
    assert await setup.causes(answer=address) == ["why: x"]
    assert setup.dns.asked == 0


async def test_name_without_addresses_is_read_back_as_before(setup: Setup) -> None:
    setup.dns.error = OSError("Name or service not known")
    assert await setup.causes() == [None]


async def test_dns_that_does_not_answer_is_asked_again_after_a_minute(setup: Setup, clock: FakeClock) -> None:
    setup.dns.hangs = True
    asked = []
    for seconds in (0, 59, 1):
        clock.advance(seconds)
        assert await setup.causes() == [None]
        asked.append(setup.dns.asked)
    assert asked == [1, 1, 2]


async def test_addresses_are_remembered_for_a_minute(setup: Setup, clock: FakeClock) -> None:
    asked = []
    for seconds in (0, 59, 1):
        clock.advance(seconds)
        assert await setup.causes() == [None, None]
        asked.append(setup.dns.asked)
    assert asked == [1, 1, 2]


async def test_handshakes_are_passed_on(setup: Setup) -> None:
    assert await setup.local.handshake(("127.0.0.1", 443), dns("a.example")) is None
    assert setup.probes.asked == [("127.0.0.1", 443)]
