"""Parsing of single values of the settings."""

import pytest

from tests.fakes_deliver import dns
from wellkeeper_issuer.settings.values import parse_address, parse_identifier
from wellkeeper_node.model import Identifier, IdentifierType


def ip(text: str) -> Identifier:
    return Identifier(IdentifierType.IP, text)


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("A.Example.", dns("a.example")),
        ("xn--mnchen-3ya.example", dns("xn--mnchen-3ya.example")),
        ("_a.b.example", dns("_a.b.example")),
        ("192.0.2.7", ip("192.0.2.7")),
        ("2001:0DB8:0:0::7", ip("2001:db8::7")),
        ("[2001:db8::7]", ip("2001:db8::7")),
    ],
)
def test_identifiers_are_parsed(text: str, identifier: Identifier) -> None:
    assert parse_identifier(text) == identifier


@pytest.mark.parametrize(
    ("text", "address"),
    [("a.example:80", ("a.example", 80)), ("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_addresses_are_parsed(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":80", "a", "a:", "a:0", "a:65536", "a:x", "::1:80", "[::1:80", "[x]:80", "a:٨٠"])
def test_invalid_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an address; write HOST:PORT or \[IPV6\]:PORT"):
        parse_address(text)
