"""The node of the settings that is this host."""

import pytest

from tests.issuer.commands.conftest import Program
from wellkeeper_issuer.assembly.local_node import local_node
from wellkeeper_issuer.assembly.nginx_plan import ports_of
from wellkeeper_issuer.settings import read_settings
from wellkeeper_node.nginx.sites import Ports

# RFC 5737: no host has it.
ELSEWHERE = "name = 'a'\nresponder = '203.0.113.1:8401'\nhttp_addresses = ['203.0.113.1:80']"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("responder = '127.0.0.1:8401'\nhttp_addresses = ['203.0.113.2:80', '127.0.0.1:8080']", "b"),
        ("responder = '127.0.0.1:8401'\nhttp_addresses = ['localhost:8080']", "b"),
        ("responder = 'unix:/run/control.sock'\nhttp_addresses = ['203.0.113.2:80']", "b"),
        ("responder = 'unix:/run/control.sock'\nhttp_addresses = []", "b"),
        ("responder = '203.0.113.2:8401'\nhttp_addresses = ['203.0.113.2:80']", None),
        ("responder = 'b.example:8401'\nhttp_addresses = ['b.example:80']", None),
    ],
    ids=["address", "localhost", "socket behind a NAT", "socket", "elsewhere", "host name"],
)
def test_node_of_this_host_is_found_wherever_it_is_in_the_list(
    program: Program, lines: str, expected: str | None
) -> None:
    program.configure("web.example", more=f"[[nodes]]\n{ELSEWHERE}\n[[nodes]]\nname = 'b'\n{lines}")
    found = local_node(read_settings(program.config))
    assert (found.name if found else None) == expected


def test_address_of_this_host_comes_before_a_socket(program: Program) -> None:
    socket = "name = 'a'\nhttp_addresses = ['203.0.113.1:80']"
    program.configure("web.example", more=f"[[nodes]]\n{socket}\n[[nodes]]\nname = 'b'\nresponder = '127.0.0.1:8401'")
    found = local_node(read_settings(program.config))
    assert found is not None
    assert found.name == "b"


def test_ports_are_those_of_this_hosts_node_or_the_usual_ones(program: Program) -> None:
    own = "name = 'b'\nhttp_addresses = ['127.0.0.1:8080']\nhttps_addresses = []"
    program.configure("web.example", more=f"[[nodes]]\n{ELSEWHERE.replace(':80', ':81')}\n[[nodes]]\n{own}")
    assert ports_of(read_settings(program.config)) == Ports(8080, 443)
    program.configure("web.example", more=f"[[nodes]]\n{ELSEWHERE.replace(':80', ':81')}")
    assert ports_of(read_settings(program.config)) == Ports(80, 443)
