"""A name with an AAAA record needs an nginx that listens on IPv6."""

from collections.abc import Mapping

import pytest

from tests.issuer.doctor.probing import resolved
from wellkeeper_issuer.doctor.ipv6 import check_ipv6
from wellkeeper_issuer.doctor.names import Resolved
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.model import Identifier
from wellkeeper_node.nginx.configuration import parse
from wellkeeper_node.nginx.sites import Ports

HERE = frozenset({"2620:fe::9"})
DUAL = resolved("9.9.9.9", "2620:fe::9")


def ipv6(names: Mapping[Identifier, Resolved], *servers: str) -> Finding:
    text = "\n".join(f"server {{ {one} }}" for one in servers)
    configuration = parse(f"# configuration file /etc/nginx/nginx.conf:\nhttp {{\n{text}\n}}\n")
    [finding] = check_ipv6(names, HERE, configuration, Ports())
    assert finding.check == "dns-ipv6"
    return finding


@pytest.mark.parametrize(
    "servers",
    [
        ("listen 80; listen [::]:80; server_name www.example;",),
        ("listen 80; server_name www.example;", "listen [::]:80 default_server;"),
    ],
    ids=["its own block", "another one"],
)
def test_nginx_that_listens_on_ipv6_is_fine(servers: tuple[str, ...]) -> None:
    finding = ipv6(DUAL, *servers)
    assert (finding.verdict, finding.cause) == (Verdict.OK, "nginx listens on port 80 over IPv6")


def test_nginx_that_listens_on_ipv4_only_is_a_warning_with_the_line_to_add() -> None:
    finding = ipv6(DUAL, "listen [::]:443 ssl;", "listen 80; server_name www.example;")
    assert (finding.verdict, finding.place) == (Verdict.WARN, "/etc/nginx/nginx.conf:3")
    assert finding.cause == (
        "nothing listens on port 80 over IPv6, but it has AAAA 2620:fe::9:"
        " Let's Encrypt then uses IPv4, other CAs may fail"
    )
    assert finding.fix.startswith("Add 'listen [::]:80;' after /etc/nginx/nginx.conf:3")


@pytest.mark.parametrize(
    ("names", "verdict", "cause"),
    [
        (resolved("9.9.9.9"), Verdict.OK, "it has no AAAA record, so a CA uses IPv4"),
        (resolved("fd00::1"), Verdict.OK, "it has no AAAA record, so a CA uses IPv4"),
        (resolved("2620:fe::10"), Verdict.SKIPPED, "2620:fe::10 is not an address of this host"),
    ],
    ids=["none", "reserved", "elsewhere"],
)
def test_nothing_is_wrong_where_no_ca_comes_by_ipv6(
    names: Mapping[Identifier, Resolved], verdict: Verdict, cause: str
) -> None:
    finding = ipv6(names, "listen 80;")
    assert (finding.verdict, finding.cause) == (verdict, cause)
