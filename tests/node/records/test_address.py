"""Addresses of relays: plain HTTP only to private ones."""

import socket

import pytest

from wellkeeper_node.records.address import PrivateResolver, parse


@pytest.mark.parametrize(
    ("text", "base", "path"),
    [
        ("unix:/run/a.sock", "http://relay", "/run/a.sock"),
        ("10.0.0.1:8404", "http://10.0.0.1:8404", ""),
        ("[fd00::1]:8404", "http://[fd00::1]:8404", ""),
        ("relay.internal:8404", "http://relay.internal:8404", ""),
        ("https://relay.example.org", "https://relay.example.org", ""),
        ("https://relay.example.org:8443/", "https://relay.example.org:8443", ""),
        ("https://8.8.8.8:8443", "https://8.8.8.8:8443", ""),
    ],
)
def test_address_is_understood(text: str, base: str, path: str) -> None:
    found = parse(text)
    assert (found.text, found.base, found.socket) == (text, base, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "relay",
        "unix:relative",
        "http://10.0.0.1:8404",
        "10.0.0.1:99999",
        "10.0.0.1:8404/",
        "https://a b",
        "https://user@relay",
        "https://relay/path",
        ":8404",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not the address of a relay"):
        parse(text)


@pytest.mark.parametrize("text", ["8.8.8.8:8404", "[2001:4860::1]:8404", "0.0.0.0:1", "1.2:80", "[::ffff:8.8.8.8]:80"])
def test_plain_http_to_a_public_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="use https:// or a VPN"):
        parse(text)


def resolver(address: str) -> PrivateResolver:
    """Return one for which every name has this address: what the system looks up depends on the machine's addresses."""
    return PrivateResolver(lambda _, port, __: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))])


async def test_name_with_a_private_address_is_resolved() -> None:
    (found,) = await resolver("10.0.0.1").resolve("relay.example", 80)
    assert (found["hostname"], found["host"], found["port"]) == ("relay.example", "10.0.0.1", 80)


async def test_name_with_a_public_address_is_refused() -> None:
    with pytest.raises(OSError, match=r"relay\.example has the public address 8\.8\.8\.8"):
        await resolver("8.8.8.8").resolve("relay.example", 80)
