"""The findings of doctor on routes: one per identifier and family."""

from collections.abc import Sequence

from tests.fakes_deliver import dns
from tests.node.nginx.route.routing import INCLUDE, MAIN, REDIRECT, configured
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Identifier, IdentifierType
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.route.findings import Addresses, check_routes, listens

NAME = dns("a.example")
BOTH = "listen 80; listen [::]:80; server_name a.example;"
V4, V6 = "192.0.2.7", "2001:db8::7"


async def found(
    *blocks: str, addresses: Addresses | None = None, identifiers: Sequence[Identifier] = (NAME,)
) -> list[tuple[str, Verdict, str]]:
    """Return check, verdict and cause of each finding."""
    findings = await check_routes(configured(*blocks), identifiers, addresses=addresses)
    assert all(one.fix for one in findings if one.verdict in {Verdict.WARN, Verdict.FAIL})
    return [(one.check, one.verdict, one.cause) for one in findings]


async def test_block_that_answers_is_named_for_each_family() -> None:
    assert await found(f"{BOTH} {INCLUDE}") == [
        ("challenge-route", Verdict.OK, f"over IPv4: {MAIN}:3 answers"),
        ("challenge-route-ipv6", Verdict.OK, f"over IPv6: {MAIN}:3 answers"),
    ]


async def test_redirect_that_leads_to_the_token_is_ok() -> None:
    first, _ = await found(f"{BOTH} {REDIRECT}", f"listen 443 ssl; server_name a.example; {INCLUDE}")
    assert first == (
        "challenge-route",
        Verdict.OK,
        f"over IPv4: {MAIN}:4 answers, after a redirect to https://a.example",
    )


async def test_finding_has_subject_fix_and_place() -> None:
    configuration = configured("listen 80; server_name a.example; root /x;")
    assert await check_routes(configuration, [NAME], addresses={"a.example": [V4]}) == [
        Finding(
            "challenge-route",
            Verdict.FAIL,
            "a.example",
            f"over IPv4: the server block at {MAIN}:3 does not include challenge.conf: it answers 404",
            f"Add '{INCLUDE}' after {MAIN}:3, then reload nginx.",
            f"{MAIN}:3",
        )
    ]


async def test_ipv6_fails_only_with_an_aaaa_record() -> None:
    blocks = (f"listen 80; server_name a.example; {INCLUDE}", "listen [::]:80 default_server; root /x;")
    verdicts = [
        [one[1] for one in await found(*blocks, addresses=addresses)]
        for addresses in (None, {"a.example": [V4]}, {"a.example": [V4, V6]}, {})
    ]
    assert verdicts == [
        [Verdict.OK, Verdict.WARN],
        [Verdict.OK],
        [Verdict.OK, Verdict.FAIL],
        [Verdict.OK, Verdict.WARN],
    ]


async def test_family_without_a_listener_is_skipped_while_the_other_one_has_one() -> None:
    assert await found(f"listen 80; {INCLUDE}") == [
        ("challenge-route", Verdict.OK, f"over IPv4: {MAIN}:3 answers"),
        ("challenge-route-ipv6", Verdict.SKIPPED, "nothing listens on port 80 over IPv6"),
    ]
    assert [one[1] for one in await found("listen 443 ssl;")] == [Verdict.FAIL, Verdict.FAIL]


async def test_identifier_that_is_an_address_is_judged_over_its_family() -> None:
    addresses = [Identifier(IdentifierType.IP, one) for one in (V4, V6)]
    assert [one[:2] for one in await found(f"listen 80; {INCLUDE}", identifiers=addresses)] == [
        ("challenge-route", Verdict.OK),
        ("challenge-route-ipv6", Verdict.FAIL),
    ]


async def test_block_at_an_address_of_its_own_is_enough_without_dns() -> None:
    own, other = f"listen {V4}:80; server_name a.example; {INCLUDE}", "listen 192.0.2.8:80; root /x;"
    [v4, _] = await found(own, other)
    assert v4[1] is Verdict.OK
    assert [one[1] for one in await found(own, other, addresses={"a.example": ["192.0.2.8"]})] == [Verdict.FAIL]


async def test_address_that_hides_the_wildcard_is_a_warning_without_dns() -> None:
    blocks = (f"listen 80; server_name a.example; {INCLUDE}", f"listen {V4}:80; root /x;")
    [v4, _] = await found(*blocks)
    assert v4[1:] == (
        Verdict.WARN,
        (
            f"over IPv4, at {V4}: the server block for a.example at {MAIN}:3 does not listen there: the default server"
            f" at {MAIN}:4 answers 404"
        ),
    )
    assert [one[1] for one in await found(*blocks, addresses={"a.example": [V4]})] == [Verdict.FAIL]
    assert [one[1] for one in await found(*blocks, addresses={"a.example": ["192.0.2.9"]})] == [Verdict.OK]


async def test_addresses_of_a_balancer_stand_for_all_of_nginx() -> None:
    block = f"listen 10.0.0.1:80; server_name a.example; {INCLUDE}"
    assert [one[1] for one in await found(block, addresses={"a.example": [V4]})] == [Verdict.OK]


async def test_wildcard_that_fails_beside_a_good_address() -> None:
    blocks = (f"listen {V4}:80; server_name a.example; {INCLUDE}", "listen 80; root /x;")
    [only] = await found(*blocks, addresses={"a.example": [V4, "192.0.2.9"]})
    assert only[1] is Verdict.FAIL
    assert only[2].startswith("over IPv4, at other addresses: ")


async def test_what_cannot_be_predicted_is_a_warning() -> None:
    [only] = await found(f"{BOTH} if ($remote_addr) {{ return 403; }} {INCLUDE}", addresses={"a.example": [V4]})
    assert only[1] is Verdict.WARN


async def test_configuration_that_was_not_parsed_is_a_warning() -> None:
    whole = configured(f"{BOTH} {INCLUDE}")
    [only] = await check_routes(Configuration(whole.folder, whole.directives, ("/n.conf: unexpected }",)), [NAME])
    assert (only.verdict, only.cause) == (
        Verdict.WARN,
        "cannot parse all of nginx's configuration: /n.conf: unexpected }",
    )


def test_families_in_which_nginx_listens() -> None:
    configuration = configured("listen 80;", "listen [::]:443 ssl;")
    assert [listens(configuration, 4), listens(configuration, 6), listens(configuration, 6, 443)] == [True, False, True]
