"""The network that checks may use."""

import click
import pytest

from wellkeeper_issuer.commands.terminal.network import allowed_network
from wellkeeper_issuer.doctor.checks import Network


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WELLKEEPER_OFFLINE", "WELLKEEPER_DNS_SERVER"):
        monkeypatch.delenv(name, raising=False)


def test_everything_is_allowed_by_default() -> None:
    assert allowed_network() == Network()


@pytest.mark.parametrize(("value", "is_offline"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_variable_means_offline(monkeypatch: pytest.MonkeyPatch, value: str, is_offline: bool) -> None:
    monkeypatch.setenv("WELLKEEPER_OFFLINE", value)
    assert allowed_network().is_offline is is_offline
    assert allowed_network(is_offline=True).is_offline


def test_variable_names_the_dns_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLKEEPER_DNS_SERVER", "[::1]:5353")
    assert allowed_network().dns_servers == (("::1", 5353),)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("localhost", "'localhost' is not an address"),
        ("localhost:53", "'localhost' is not an IP address; write IP:PORT"),
        ("127.0.0.1:65536", "'127.0.0.1:65536' is not an address"),
    ],
)
def test_wrong_dns_server_is_refused(monkeypatch: pytest.MonkeyPatch, value: str, words: str) -> None:
    monkeypatch.setenv("WELLKEEPER_DNS_SERVER", value)
    with pytest.raises(click.UsageError, match=f"WELLKEEPER_DNS_SERVER: {words}"):
        allowed_network()
