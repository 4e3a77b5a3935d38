"""Addresses and keys that a relay accepts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.relay.messages import PUBLIC_FLEET_KEY
from wellkeeper_relay.names import private_hosts
from wellkeeper_relay.settings import parse_fleet_key, parse_issuer_address, parse_nodes_address
from wellkeeper_responder.listeners import ListenError
from wellkeeper_responder.settings import TcpAddress, UnixAddress


@pytest.mark.parametrize(
    "text", ["10.0.0.1:8404", "[fd00::1]:8404", "127.0.0.1:0", "100.64.7.7:8404", "unix:/run/a.sock", "relay:8404"]
)
def test_private_addresses_and_sockets_are_accepted_for_nodes(text: str) -> None:
    assert str(parse_nodes_address(text)) == text


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:8404", "[::]:8404", "8.8.8.8:8404", "[2001:4860::1]:8404"],
)
def test_plain_http_on_other_addresses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="private IP address of this host"):
        parse_nodes_address(text)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_nodes_address, "8404", "not an address"),
        (parse_issuer_address, "127.0.0.1:8404", "must be a unix socket"),
        (parse_issuer_address, "unix:run", "absolute"),
        (parse_fleet_key, "x", "not a fleet key"),
    ],
)
def test_other_values_are_refused(parse: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_valid_values_are_kept() -> None:
    assert parse_fleet_key(PUBLIC_FLEET_KEY) == PUBLIC_FLEET_KEY
    assert parse_issuer_address("unix:/run/a.sock") == UnixAddress(Path("/run/a.sock"))
    assert parse_nodes_address("10.0.0.1:80") == TcpAddress("10.0.0.1", 80)


async def test_name_stands_for_its_private_addresses() -> None:
    assert "127.0.0.1" in await private_hosts(TcpAddress("localhost", 8404))
    assert await private_hosts(TcpAddress("10.0.0.1", 8404)) == ("10.0.0.1",)
    assert await private_hosts(UnixAddress(Path("/run/a.sock"))) == ()


@pytest.mark.parametrize(
    ("host", "why"),
    [
        # As for a name that has this address.
        ("8.8.8.8", "8.8.8.8 is a public address. Use one of a VPN, or unix:PATH behind TLS."),
        ("nothing.invalid", "Use an IP address of this host, or a name that resolves to one."),
    ],
)
async def test_name_without_a_private_address_cannot_be_listened_at(host: str, why: str) -> None:
    with pytest.raises(ListenError) as caught:
        await private_hosts(TcpAddress(host, 8404))
    assert str(caught.value).startswith(f"cannot listen on {host}:8404: ")
    assert why in str(caught.value)
