"""The addresses of names, looked up once."""

from collections.abc import AsyncIterator

import pytest

from tests.issuer.doctor.probing import identifier
from tests.name_server import NameServer, answering
from wellkeeper_issuer.doctor.names import Name, Resolved, resolve
from wellkeeper_issuer.outside.host.dns_client import DnsClient
from wellkeeper_issuer.ports.dns import Outcome


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer() as running:
        yield running


async def resolve_one(server: NameServer, value: str, *, is_public: bool = True) -> Resolved:
    name = Name(identifier(value), is_public)
    return (await resolve([name], DnsClient([server.address])))[name.identifier]


async def test_addresses_are_in_the_order_in_which_a_ca_tries_them(server: NameServer) -> None:
    server.replies["www.example.", "A"] = answering("www.example. 60 IN A 9.9.9.9")
    server.replies["www.example.", "AAAA"] = answering("www.example. 60 IN AAAA 2620:fe::9")
    found = await resolve_one(server, "www.example")
    assert found.addresses == ("2620:fe::9", "9.9.9.9")
    assert str(found) == "AAAA 2620:fe::9, A 9.9.9.9"


async def test_public_ca_leaves_reserved_addresses_out(server: NameServer) -> None:
    server.replies["www.example.", "A"] = answering("www.example. 60 IN A 10.0.0.5")
    assert (await resolve_one(server, "www.example")).reachable == ()
    assert (await resolve_one(server, "www.example", is_public=False)).reachable == ("10.0.0.5",)


@pytest.mark.parametrize("value", ["9.9.9.9", "2620:fe::9"])
async def test_ip_address_is_its_own_and_not_asked_for(server: NameServer, value: str) -> None:
    assert (await resolve_one(server, value)).addresses == (value,)
    assert server.asked == []


async def test_addresses_that_a_resolver_made_up_do_not_count(server: NameServer) -> None:
    server.replies["www.example.", "AAAA"] = answering("www.example. 60 IN AAAA 64:ff9b::909:909")
    found = await resolve_one(server, "www.example")
    assert (found.ipv6.outcome, found.addresses) == (Outcome.NO_DATA, ())


async def test_many_addresses_are_shortened(server: NameServer) -> None:
    server.replies["www.example.", "A"] = answering(*(f"www.example. 60 IN A 9.9.9.{number}" for number in range(7)))
    assert str(await resolve_one(server, "www.example")).endswith(" and 3 more")
