"""The checks of addresses in DNS: that there are any, that a CA can use them, and that they lead here."""

import pytest

from tests.issuer.doctor.probing import NO_DATA, WWW, Probes, elsewhere, found, resolved
from wellkeeper_issuer.doctor.dns import check_records, check_target
from wellkeeper_issuer.doctor.names import Name, Resolved
from wellkeeper_issuer.ports.dns import DnsReply, Outcome
from wellkeeper_node.findings import Finding, Verdict

SERVFAIL = DnsReply(Outcome.FAILED, why="192.0.2.53 replied SERVFAIL")
SILENT = DnsReply(Outcome.FAILED, why="no answer from 192.0.2.53 within 3 s")
HERE = frozenset({"9.9.9.9", "2620:fe::9"})


def records(ipv4: DnsReply, ipv6: DnsReply = NO_DATA, *, is_public: bool = True, is_proven: bool = False) -> Finding:
    one = Resolved(Name(WWW, is_public, is_proven), ipv4, ipv6)
    [finding] = check_records({WWW: one})
    assert (finding.check, finding.subject) == ("dns-records", "www.example")
    assert bool(finding.fix) is (finding.verdict in {Verdict.WARN, Verdict.FAIL})
    return finding


def test_addresses_that_a_ca_can_use_are_fine() -> None:
    finding = records(found("9.9.9.9"), found("2620:fe::9"))
    assert (finding.verdict, finding.cause) == (Verdict.OK, "AAAA 2620:fe::9, A 9.9.9.9")


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "cause"),
    [
        (NO_DATA, NO_DATA, "the name has neither A nor AAAA records"),
        (DnsReply(Outcome.NO_NAME), DnsReply(Outcome.NO_NAME), "the name does not exist in DNS (NXDOMAIN)"),
        (
            DnsReply(Outcome.NO_NAME, target="gone.example"),
            DnsReply(Outcome.NO_NAME, target="gone.example"),
            "its CNAME target gone.example does not exist in DNS (NXDOMAIN)",
        ),
        (
            DnsReply(Outcome.NO_DATA, target="empty.example"),
            NO_DATA,
            "its CNAME target empty.example has neither A nor AAAA records",
        ),
        (SERVFAIL, SERVFAIL, "no reply about A and AAAA: 192.0.2.53 replied SERVFAIL"),
        (
            SERVFAIL,
            SILENT,
            "no reply about A and AAAA: 192.0.2.53 replied SERVFAIL; no answer from 192.0.2.53 within 3 s",
        ),
    ],
    ids=["no data", "no name", "alias to nothing", "alias to no data", "servfail", "silence"],
)
def test_name_without_addresses_fails_with_the_reason(ipv4: DnsReply, ipv6: DnsReply, cause: str) -> None:
    finding = records(ipv4, ipv6)
    assert (finding.verdict, finding.cause) == (Verdict.FAIL, cause)


def test_ca_does_without_one_of_the_look_ups() -> None:
    finding = records(found("9.9.9.9"), SERVFAIL)
    assert (finding.verdict, finding.cause) == (Verdict.WARN, "no reply about AAAA: 192.0.2.53 replied SERVFAIL")
    assert "'dig www.example AAAA'" in finding.fix


def test_only_reserved_addresses_fail_for_a_public_ca() -> None:
    finding = records(found("10.0.0.5"), found("::1"))
    cause = "no public CA can reach it: ::1 (loopback), 10.0.0.5 (private)"
    assert (finding.verdict, finding.cause) == (Verdict.FAIL, cause)


def test_reserved_addresses_warn_where_a_ca_has_reached_the_name_already() -> None:
    finding = records(found("10.0.0.5"), is_proven=True)
    assert finding.verdict is Verdict.WARN
    assert finding.cause.startswith("this host's name servers give only reserved addresses: 10.0.0.5 (private); ")


def test_reserved_address_beside_another_one_is_a_warning() -> None:
    finding = records(found("10.0.0.5", "9.9.9.9"))
    assert (finding.verdict, finding.cause) == (Verdict.WARN, "a CA ignores reserved addresses: 10.0.0.5 (private)")


@pytest.mark.parametrize(
    ("address", "verdict"), [("10.0.0.5", Verdict.OK), ("127.0.0.1", Verdict.WARN), ("203.0.113.7", Verdict.WARN)]
)
def test_internal_ca_reaches_private_addresses(address: str, verdict: Verdict) -> None:
    assert records(found(address), is_public=False).verdict is verdict


async def target(probes: Probes, *addresses: str, name: str = WWW.value, is_public: bool = True) -> Finding:
    [finding] = await check_target(resolved(*addresses, name=name, is_public=is_public), HERE, probes)
    assert (finding.check, finding.subject) == ("dns-target", name)
    return finding


async def test_addresses_of_this_host_are_fine_and_not_asked() -> None:
    probes = Probes()
    finding = await target(probes, "9.9.9.9", "2620:fe::9")
    assert (finding.verdict, probes.asked) == (Verdict.OK, [])
    assert finding.cause == "2620:fe::9, 9.9.9.9: an address of this host or of a node"


async def test_other_address_is_fine_if_the_challenge_location_answers() -> None:
    probes = Probes()
    finding = await target(probes, "9.9.9.10")
    assert (finding.verdict, finding.cause) == (Verdict.OK, "the challenge location answers at 9.9.9.10")
    assert probes.asked == [("9.9.9.10:80", "www.example")]


@pytest.mark.parametrize(
    ("status", "words"), [(None, "did not answer from here"), (200, "gave HTTP 200")], ids=["silent", "another page"]
)
async def test_other_address_warns_as_the_way_of_a_ca_is_not_known_here(status: int | None, words: str) -> None:
    probes = Probes()
    probes.answers = {"9.9.9.10:80": elsewhere("9.9.9.10:80", status)}
    finding = await target(probes, "9.9.9.10")
    assert finding.verdict is Verdict.WARN
    assert finding.cause == f"it may lead elsewhere: 9.9.9.10 is not an address of this host, and {words}"
    assert (
        "from another network that 9.9.9.10 leads to this nginx: 'curl http://www.example/.well-known/" in finding.fix
    )


async def test_one_of_several_addresses_that_leads_elsewhere_is_named() -> None:
    probes = Probes()
    probes.answers = {"[2620:fe::10]:80": elsewhere("[2620:fe::10]:80")}
    finding = await target(probes, "9.9.9.9", "2620:fe::10")
    assert finding.verdict is Verdict.WARN
    assert finding.cause.startswith("only some of its addresses are here, and a CA uses any: 2620:fe::10 is not an ")


async def test_address_that_is_silent_is_asked_for_one_name_only() -> None:
    probes = Probes()
    probes.answers = {"9.9.9.10:80": elsewhere("9.9.9.10:80", None)}
    names = {**resolved("9.9.9.10", name="a.example"), **resolved("9.9.9.10", name="b.example")}
    findings = await check_target(names, HERE, probes)
    assert [one.verdict for one in findings] == [Verdict.WARN] * 2
    assert probes.asked == [("9.9.9.10:80", "a.example")]


async def test_many_addresses_are_shortened() -> None:
    finding = await target(Probes(), *(f"9.9.9.{number}" for number in range(10, 17)))
    assert finding.cause == "the challenge location answers at 9.9.9.10, 9.9.9.11, 9.9.9.12, 9.9.9.13 and 3 more"


async def test_ip_address_is_asked_for_by_itself() -> None:
    probes = Probes()
    probes.answers = {"[2620:fe::10]:80": elsewhere("[2620:fe::10]:80")}
    finding = await target(probes, "2620:fe::10", name="2620:fe::10")
    assert "'curl http://[2620:fe::10]/.well-known/acme-challenge/" in finding.fix


async def test_name_without_usable_addresses_is_skipped() -> None:
    finding = await target(Probes(), "10.0.0.5")
    assert (finding.verdict, finding.cause) == (Verdict.SKIPPED, "it has no address that a CA can use")
