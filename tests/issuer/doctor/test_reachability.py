"""The check that the challenge location answers for each name at each address of the nodes."""

import pytest

from tests.issuer.doctor.probing import WWW, Probes, elsewhere, resolved
from wellkeeper_issuer.doctor.reachability import check_reach
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Node, ReadBack

LOCAL = Node("local", "unix:/c", (("127.0.0.1", 80),), (("127.0.0.1", 443),))
REMOTE = Node("remote", "10.0.0.7:8080", (("10.0.0.7", 80),), ())


async def reach(
    probes: Probes, *addresses: str, nodes: tuple[Node, ...] = (LOCAL,), is_required: bool = True
) -> Finding:
    [finding] = await check_reach(resolved(*addresses), nodes, probes, is_required=is_required)
    assert (finding.check, finding.subject) == ("reach", WWW.value)
    return finding


async def test_location_that_answers_at_every_address_of_every_node_is_fine() -> None:
    probes = Probes()
    finding = await reach(probes, "9.9.9.9", nodes=(LOCAL, REMOTE))
    assert (finding.verdict, finding.cause) == (
        Verdict.OK,
        "the challenge location answers at 127.0.0.1:80, 10.0.0.7:80",
    )
    assert probes.asked == [("127.0.0.1:80", "www.example"), ("10.0.0.7:80", "www.example")]


async def test_name_with_an_ipv6_address_is_asked_for_over_ipv6_too() -> None:
    probes = Probes()
    probes.answers = {"[::1]:80": elsewhere("[::1]:80")}
    finding = await reach(probes, "9.9.9.9", "2620:fe::9", nodes=(LOCAL, REMOTE))
    assert [address for address, _ in probes.asked] == ["127.0.0.1:80", "[::1]:80", "10.0.0.7:80"]
    assert finding.verdict is Verdict.FAIL
    assert finding.cause == "http://www.example/x gave HTTP 404 at [::1]:80 of node 'local': it is not included"
    assert finding.fix == "Include it."


async def test_ipv6_without_a_listener_does_not_fail_as_a_ca_then_uses_ipv4() -> None:
    probes = Probes()
    probes.answers = {"[::1]:80": elsewhere("[::1]:80", None)}
    finding = await reach(probes, "9.9.9.9", "2620:fe::9")
    assert (finding.verdict, finding.cause) == (Verdict.OK, "the challenge location answers at 127.0.0.1:80")


async def test_addresses_of_the_settings_on_ipv6_are_enough() -> None:
    probes = Probes()
    await reach(probes, "2620:fe::9", nodes=(Node("local", "", (("127.0.0.1", 80), ("fd00::1", 80)), ()),))
    assert [address for address, _ in probes.asked] == ["127.0.0.1:80", "[fd00::1]:80"]


@pytest.mark.parametrize(("is_required", "verdict"), [(True, Verdict.FAIL), (False, Verdict.WARN)])
async def test_failures_are_counted_and_a_warning_where_read_backs_are_advisory(
    is_required: bool, verdict: Verdict
) -> None:
    probes = Probes()
    probes.answers = {"127.0.0.1:80": elsewhere("127.0.0.1:80", None, ""), "10.0.0.7:80": elsewhere("10.0.0.7:80")}
    finding = await reach(probes, "9.9.9.9", nodes=(LOCAL, REMOTE), is_required=is_required)
    assert (finding.verdict, finding.fix) == (verdict, "Include challenge.conf in its server block.")
    assert finding.cause == (
        "http://www.example/x did not answer at 127.0.0.1:80 of node 'local': it is not included (and 1 other answer)"
    )


async def test_answer_to_a_token_that_was_never_published_fails() -> None:
    probes = Probes()
    probes.answers = {"127.0.0.1:80": ReadBack("local", "http://www.example/x", "127.0.0.1:80", 200, None)}
    finding = await reach(probes, "9.9.9.9")
    assert finding.cause.endswith(": something answers a token that was never published")


async def test_nodes_without_addresses_are_skipped() -> None:
    finding = await reach(Probes(), "9.9.9.9", nodes=(Node("local", "", (), ()),))
    assert (finding.verdict, finding.cause) == (Verdict.SKIPPED, "no node has http_addresses")
