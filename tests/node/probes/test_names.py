"""Probes of addresses that are host names, as those of other containers."""

from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.node.names import Names
from tests.node.probes.test_probes import answering, tls_server
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Answer, Node
from wellkeeper_node.probes.probes import NodeProbes

A = dns("a.example")
ANSWER = Answer("token", "thumbprint", A)
REPLY = f"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{ANSWER.key_authorization}".encode()
# Nothing listens there, as in a container that is gone.
GONE = "127.255.255.254"


def node(port: int, *, speaks_proxy_protocol: bool = False) -> Node:
    return Node("n1", "unix:/s", (("nginx", port),), (), speaks_proxy_protocol)


@pytest.mark.parametrize("greets", [False, True])
async def test_token_is_read_back_where_the_name_leads_now(*, greets: bool) -> None:
    names = Names(nginx=[GONE])
    probes = NodeProbes(resolver=names)
    async with answering(REPLY) as port:
        (refused,) = await probes.read_back(node(port, speaks_proxy_protocol=greets), ANSWER)
        names.addresses["nginx"] = [GONE, "127.0.0.1"]
        (found,) = await probes.read_back(node(port, speaks_proxy_protocol=greets), ANSWER)
    assert (refused.status, refused.cause) == (None, "connection refused: nothing listens there")
    assert (found.status, found.cause, found.address) == (200, None, f"nginx:{port}")


@pytest.mark.parametrize("greets", [False, True])
async def test_name_without_an_address_is_named_with_its_setting(*, greets: bool) -> None:
    (found,) = await NodeProbes(resolver=Names()).read_back(node(80, speaks_proxy_protocol=greets), ANSWER)
    assert found.address == "nginx:80"
    assert found.cause == "the name of this address does not resolve: Name or service not known"
    assert found.remedy.startswith("Start the host of this name, or change http_addresses in the settings, ")


async def test_leaf_is_asked_for_where_the_name_leads_now(folder: Path) -> None:
    names = Names(nginx=[GONE])
    probes, pair = NodeProbes(resolver=names), FakeCa().pair(A)
    async with tls_server(folder, pair.chain_pem, pair.certificate_key_pem) as port:
        with pytest.raises(VerifyError, match="Connection refused"):
            await probes.handshake(("nginx", port), A)
        names.addresses["nginx"] = [GONE, "127.0.0.1"]
        assert await probes.handshake(("nginx", port), A) is not None


async def test_handshake_with_a_name_without_an_address_names_the_setting() -> None:
    with pytest.raises(VerifyError) as caught:
        await NodeProbes(resolver=Names()).handshake(("nginx", 443), A)
    what, why, remedy = caught.value.lines
    assert (what, why) == ("no TLS handshake for a.example at nginx:443", "Name or service not known")
    assert remedy.startswith("Start the host 'nginx', or change https_addresses in the settings, ")
