"""The addresses at which a certificate must be served."""

import pytest

from tests.fakes_deliver import dns
from wellkeeper_node.deliver.addresses import Plan, Question, at_configured, everywhere, plan
from wellkeeper_node.model import Identifier, IdentifierType, Listener, Server

A, B, IP = dns("a.example"), dns("b.example"), Identifier(IdentifierType.IP, "192.0.2.7")
WEB, ADMIN, HTTPS = ("127.0.0.1", 443), ("127.0.0.1", 8443), ("192.0.2.7", 443)
OURS, OTHERS = "/archive/web/v1/fullchain.pem", "/elsewhere/fullchain.pem"


def server(*names: str, at: tuple[str, int] = WEB, path: str = OURS, is_default: bool = False) -> Server:
    return Server(names, (Listener(at, is_default=is_default),), frozenset({path}))


def planned(servers: list[Server], *identifiers: Identifier, usual: tuple[tuple[str, int], ...] = ()) -> Plan:
    return plan(identifiers or (A,), servers, lambda path: path == OURS, usual)


def asked(servers: list[Server], *identifiers: Identifier) -> list[tuple[tuple[str, int], str]]:
    return [(one.address, str(one.identifier)) for one in planned(servers, *identifiers).questions]


def test_certificate_is_asked_for_at_the_port_of_its_block_alone() -> None:
    assert asked([server("www.example", path=OTHERS), server("a.example", at=ADMIN)]) == [(ADMIN, "a.example")]


def test_each_name_is_asked_for_where_a_block_answers_for_it() -> None:
    servers = [server("a.example"), server("b.example", at=ADMIN)]
    assert asked(servers, A, B) == [(WEB, "a.example"), (ADMIN, "b.example")]


@pytest.mark.parametrize(
    "names",
    [
        ["a.example"],
        ["A.Example"],
        [".example"],
        ["*.example"],
        [".a.example"],
        ["a.*"],
        [r"~^(?<sub>.+)\.example$"],
        ["*.other", "a.example"],
    ],
)
def test_block_answers_for_a_name_as_nginx_decides(names: list[str]) -> None:
    default = server("_", path=OTHERS, is_default=True)
    assert asked([default, server(*names)], A, B)[0] == (WEB, "a.example")


@pytest.mark.parametrize(
    ("listening", "usual", "asked_at"),
    [
        ("127.0.0.1", "nginx", "nginx"),
        ("::1", "nginx", "nginx"),
        ("127.0.0.1", "localhost", "localhost"),
        ("::1", "localhost", "::1"),
    ],
)
def test_nginx_in_another_container_is_asked_by_its_name(listening: str, usual: str, asked_at: str) -> None:
    found = planned([server("a.example", at=(listening, 443))], usual=((usual, 443),)).questions
    assert [one.address for one in found] == [(asked_at, 443)]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("a.example", "*.example"),
        ("*.example", "a.*"),
        ("a.*", "~a"),
        (r"~^a\.", "_"),
        ("a.example", "a.example"),
        ("*.a.example.org", "*.example.org"),
    ],
)
def test_better_match_wins_and_the_first_of_equals(better: str, worse: str) -> None:
    name = dns("x.a.example.org") if better.startswith("*.a") else A
    servers = [server(better, path=OTHERS), server(worse, is_default=True), server("b.example")]
    assert asked(servers, name, B) == [(WEB, "b.example"), (WEB, str(name))]
    assert planned([server(better, path=OTHERS), server("b.example", at=ADMIN)], name, B).questions == (
        Question(ADMIN, B, speaks_proxy_protocol=False),
        Question(ADMIN, name, speaks_proxy_protocol=False),
    )


def test_regular_expression_that_python_does_not_know_matches_nothing() -> None:
    assert asked([server(r"~(?|a)(", path=OTHERS), server("_", is_default=True)]) == [(WEB, "a.example")]


def test_address_is_answered_by_the_default_server() -> None:
    servers = [server("a.example", path=OTHERS, is_default=True), server("a.example")]
    assert asked([servers[1], server("b", at=ADMIN, is_default=True)], IP) == [(ADMIN, "192.0.2.7")]


def test_certificate_that_no_block_answers_with_is_asked_for_at_all_its_listeners() -> None:
    """The handshakes then show which certificate answers instead."""
    assert asked([server("a.example", path=OTHERS), server("a.example")]) == [(WEB, "a.example")]


def test_certificate_that_nothing_names_is_asked_for_at_the_usual_addresses() -> None:
    assert planned([server("a.example", path=OTHERS)], usual=(HTTPS,)) == Plan((Question(HTTPS, A),), is_named=False)


def test_block_without_tls_names_it_and_leaves_the_usual_addresses() -> None:
    named = Server(("a.example",), (), frozenset({OURS}))
    assert planned([named], usual=(HTTPS,)) == Plan((Question(HTTPS, A),), is_named=True)


def test_configured_address_with_the_same_port_stands_for_loopback() -> None:
    usual = (HTTPS, ("192.0.2.7", 80))
    found = planned([server("a.example"), server("a.example", at=ADMIN)], usual=usual)
    assert [one.address for one in found.questions] == [HTTPS, ADMIN]
    assert [one.address for one in found.instead] == list(usual)


def test_listeners_that_no_handshake_can_reach_are_hidden() -> None:
    quic = Server(("a.example",), (Listener(WEB, is_visible=False),), frozenset({OURS}))
    assert "no handshake can reach" in planned([quic]).hidden
    assert planned([quic, server("a.example")]).hidden == ""


def test_proxy_protocol_is_spoken_where_the_listener_wants_it() -> None:
    balanced = Server(("a.example",), (Listener(WEB, speaks_proxy_protocol=True),), frozenset({OURS}))
    assert [one.speaks_proxy_protocol for one in planned([balanced]).questions] == [True]


def test_configured_addresses_of_a_certificate_are_the_only_ones() -> None:
    assert at_configured([A], [ADMIN]) == Plan((Question(ADMIN, A),), is_named=True)
    assert "nothing on this host serves it" in at_configured([A], []).hidden


WILDCARD = dns("*.example")


@pytest.mark.parametrize(
    ("names", "asked_for"),
    [
        (["a.example"], ["a.example"]),
        (["A.Example", "b.example"], ["a.example", "b.example"]),
        (["*.example"], ["wellkeeper-check.example"]),
        ([".example", "a.example"], ["a.example", "wellkeeper-check.example"]),
        (["a.b.example", "other.test", "~^x"], ["wellkeeper-check.example"]),
    ],
)
def test_wildcard_is_verified_with_names_below_it(names: list[str], asked_for: list[str]) -> None:
    default = server("_", path=OTHERS, is_default=True)
    assert asked([default, server(*names)], WILDCARD) == [(WEB, name) for name in asked_for]


def test_wildcard_is_verified_at_configured_and_usual_addresses() -> None:
    name = dns("wellkeeper-check.example")
    assert at_configured([WILDCARD], [WEB]).questions == (Question(WEB, name),)
    assert planned([server("a.example", path=OTHERS)], WILDCARD, usual=(WEB,)).questions == (Question(WEB, A),)
    assert everywhere([WILDCARD], [], [WEB]) == (Question(WEB, name),)
