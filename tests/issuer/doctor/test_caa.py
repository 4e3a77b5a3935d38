"""The CAA records that count for a name: its own, or those of the nearest parent."""

from collections.abc import AsyncIterator, Mapping

import dns.rcode
import pytest

from tests.fakes_deliver import dns as dns_identifier
from tests.issuer.doctor.probing import identifier
from tests.name_server import NameServer, answering, refusing
from wellkeeper_issuer.doctor.caa import check_caa
from wellkeeper_issuer.doctor.caa_records import Issuer
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.host.dns_client import DnsClient
from wellkeeper_node.findings import Finding, Verdict

ONE, TWO = "https://one.example/directory", "https://two.example/directory"
CAS = {ONE: Issuer("one", ("one.example",), "https://one.example/1"), TWO: Issuer("two", ("two.example",), "")}
WEB = Lineage("web", (dns_identifier("www.site.example"),), directory_urls=(ONE,))


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer() as running:
        yield running


async def caa(server: NameServer, lineage: Lineage = WEB, issuers: Mapping[str, Issuer] = CAS) -> Finding:
    [finding] = await check_caa([lineage], issuers, DnsClient([server.address]))
    assert (finding.check, finding.subject) == ("caa", "www.site.example")
    return finding


def allow(server: NameServer, name: str, value: str) -> None:
    server.replies[name, "CAA"] = answering(f'{name} 60 IN CAA 0 issue "{value}"')


async def test_tree_is_climbed_to_the_top(server: NameServer) -> None:
    finding = await caa(server)
    assert (finding.verdict, finding.cause) == (Verdict.OK, "no CAA records, so every CA may issue")
    assert [name for name, *_ in server.asked] == ["www.site.example.", "site.example.", "example."]


async def test_nearest_records_count(server: NameServer) -> None:
    allow(server, "site.example.", "one.example")
    allow(server, "example.", "two.example")
    finding = await caa(server)
    assert (finding.verdict, finding.cause) == (Verdict.OK, "the CAA records at site.example allow one")


async def test_records_of_an_alias_count_and_its_target_is_not_climbed(server: NameServer) -> None:
    server.replies["www.site.example.", "CAA"] = answering("www.site.example. 60 IN CNAME to.cdn.net.")
    server.replies["to.cdn.net.", "CAA"] = answering('to.cdn.net. 60 IN CAA 0 issue "two.example"')
    assert (await caa(server)).verdict is Verdict.FAIL
    del server.replies["to.cdn.net.", "CAA"]
    allow(server, "cdn.net.", "two.example")
    assert (await caa(server)).verdict is Verdict.OK


async def test_other_ca_fails_with_the_record_to_add(server: NameServer) -> None:
    allow(server, "site.example.", "two.example")
    finding = await caa(server)
    assert (finding.verdict, finding.cause) == (
        Verdict.FAIL,
        "the records allow two.example, not one (one.example) (at site.example)",
    )
    assert finding.fix == "Add or change this DNS record: 'site.example. CAA 0 issue \"one.example\"'."


async def test_record_that_no_value_can_correct_is_to_remove(server: NameServer) -> None:
    server.replies["site.example.", "CAA"] = answering('site.example. 60 IN CAA 128 tbs "x"')
    assert (await caa(server)).fix == "Remove or correct the CAA record at site.example."


async def test_one_of_two_cas_is_enough(server: NameServer) -> None:
    allow(server, "site.example.", "two.example")
    finding = await caa(server, Lineage("web", WEB.identifiers, directory_urls=(ONE, TWO)))
    assert finding.verdict is Verdict.WARN


async def test_look_up_that_fails_fails_the_order(server: NameServer) -> None:
    server.replies["site.example.", "CAA"] = refusing(dns.rcode.SERVFAIL)
    finding = await caa(server)
    assert (finding.verdict, finding.cause) == (
        Verdict.FAIL,
        "the lookup of CAA records fails, so a CA refuses the order: 127.0.0.1 replied SERVFAIL",
    )
    assert "'dig site.example CAA'" in finding.fix


async def test_look_up_that_fails_warns_for_a_ca_without_a_name(server: NameServer) -> None:
    server.default = refusing(dns.rcode.SERVFAIL)
    assert (await caa(server, issuers={ONE: Issuer("one", (), "")})).verdict is Verdict.WARN
    assert (await caa(server, issuers={})).verdict is Verdict.FAIL


async def test_ca_that_publishes_no_name_cannot_be_compared(server: NameServer) -> None:
    issuers = {ONE: Issuer("one", (), "")}
    allow(server, "site.example.", "two.example")
    finding = await caa(server, issuers=issuers)
    assert (finding.verdict, finding.cause) == (
        Verdict.WARN,
        "site.example has CAA records, and one does not publish its name for them",
    )
    server.replies["site.example.", "CAA"] = answering('site.example. 60 IN CAA 0 iodef "mailto:a@site.example"')
    assert (await caa(server, issuers=issuers)).verdict is Verdict.OK


async def test_unknown_cas_are_skipped(server: NameServer) -> None:
    allow(server, "site.example.", "two.example")
    assert (await caa(server, issuers={})).verdict is Verdict.SKIPPED


async def test_ip_addresses_have_no_records(server: NameServer) -> None:
    lineage = Lineage("ip", (identifier("9.9.9.9"),), directory_urls=(ONE,))
    assert await check_caa([lineage], CAS, DnsClient([server.address])) == []
