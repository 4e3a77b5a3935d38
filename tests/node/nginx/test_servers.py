"""Listeners and certificates of server blocks, from the configuration that nginx prints."""

import os
import socket
from pathlib import Path

import pytest

from wellkeeper_node.model import Listener, Server
from wellkeeper_node.nginx.configuration import parse
from wellkeeper_node.nginx.servers import read_servers

WEB = ("127.0.0.1", 443)


def read(text: str) -> tuple[Server, ...]:
    return read_servers(parse(f"# configuration file /etc/nginx/nginx.conf:\n{text}\n"))


def listeners(listen: str, context: str = "http") -> list[Listener]:
    (server,) = read(f"{context} {{ server {{ {listen} }} }}")
    return list(server.listeners)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("443 ssl", WEB),
        ("*:8443 ssl http2", ("127.0.0.1", 8443)),
        ("0.0.0.0:443 ssl", WEB),
        ("127.0.0.2:443 ssl", ("127.0.0.2", 443)),
        ("127.0.0.2 ssl", ("127.0.0.2", 80)),
        ("localhost:443 ssl", ("localhost", 443)),
        ("unix:/run/tls.sock ssl", ("unix:/run/tls.sock", 0)),
    ],
)
def test_tls_address_is_where_a_handshake_can_be_made(listen: str, address: tuple[str, int]) -> None:
    assert listeners(f"listen {listen};") == [Listener(address, is_default=True)]


@pytest.mark.parametrize(
    ("listen", "address"), [("[::]:443 ssl", ("::1", 443)), ("[::1] ssl", ("::1", 80)), ("[::1]:1 ssl", ("::1", 1))]
)
def test_ipv6_address_is_where_a_handshake_can_be_made(listen: str, address: tuple[str, int]) -> None:
    assert listeners(f"listen {listen};") == [Listener(address, is_default=True, is_visible=has_ipv6())]


@pytest.mark.parametrize("context", ["http", "stream", "mail"])
@pytest.mark.parametrize("listen", ["8443-8445 ssl", "127.0.0.1:8443-8445 ssl"])
def test_each_port_of_a_range_is_a_listener(listen: str, context: str) -> None:
    expected = [Listener(("127.0.0.1", port), is_default=True) for port in (8443, 8444, 8445)]
    assert listeners(f"listen {listen};", context) == expected


def test_handshakes_are_made_at_16_ports_of_a_range_and_at_those_that_other_blocks_name() -> None:
    wide, narrow = read("http { server { listen 1000-9999 ssl; } server { listen 5000 ssl; listen 1001; } }")
    assert [one.address[1] for one in wide.listeners if one.is_visible] == list(range(1000, 1016))
    assert len(wide.listeners) == 9000
    assert narrow.listeners == (Listener(("127.0.0.1", 5000)), Listener(("127.0.0.1", 1001)))


@pytest.mark.parametrize("listen", ["listen 80;", "", "listen;"])
def test_block_without_tls_has_no_listeners(listen: str) -> None:
    assert listeners(listen) == []


@pytest.mark.parametrize(
    ("listen", "context"),
    [
        ("listen 443 quic;", "http"),
        ("listen 192.0.2.1:443 ssl;", "http"),
        ("listen 143; starttls on;", "mail"),
    ],
    ids=["QUIC", "another host's", "STARTTLS"],
)
def test_listener_that_no_handshake_can_reach_is_hidden(listen: str, context: str) -> None:
    assert [one.is_visible for one in listeners(listen, context)] == [False]


def test_quic_beside_tcp_at_the_same_address_is_another_listener() -> None:
    assert listeners("listen 443 quic reuseport; listen 443 ssl;") == [
        Listener(WEB, is_default=True, is_visible=False),
        Listener(WEB, is_default=True),
    ]


def test_parameters_of_one_listen_count_for_every_block_at_that_address() -> None:
    first, second = read(
        "http { server { listen 443 ssl proxy_protocol; } server { listen *:443 default_server; }"
        " server { listen 80; } }"
    )[:2]
    assert first.listeners == (Listener(WEB, speaks_proxy_protocol=True),)
    assert second.listeners == (Listener(WEB, is_default=True, speaks_proxy_protocol=True),)


def test_ssl_on_makes_every_listen_one_of_tls() -> None:
    assert listeners("ssl on; listen 443;") == [Listener(WEB, is_default=True)]


def test_blocks_of_stream_and_mail_are_read_and_upstreams_are_not() -> None:
    found = read(
        "stream { upstream u { server 127.0.0.1:1; } server { listen 853 ssl; } } mail { server { listen 993 ssl; } }"
    )
    assert [one.listeners[0].address[1] for one in found] == [853, 993]


def test_certificates_are_inherited_unless_the_block_has_its_own(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    (tmp_path / "link").symlink_to(live)
    own, inherited = read(
        f"http {{ ssl_certificate ssl/a.pem; server {{ server_name A.example *.b;"
        f" ssl_certificate {tmp_path}/link/f.pem;"
        f" ssl_certificate /live/$name/f.pem; }} server {{ listen 443 ssl; }} }}"
    )
    assert own == Server(("A.example", "*.b"), (), frozenset({f"{os.path.realpath(live)}/f.pem", "/live/$name/f.pem"}))
    assert inherited.chain_paths == {"/etc/nginx/ssl/a.pem"}
