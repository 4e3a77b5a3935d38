"""Three nodes behind one name: the CA is asked only when all hold the token."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stand.responder import ResponderProcess
from tests.integration.fleet import NAME, Fleet, running_fleet
from tests.integration.observed import (
    asked,
    error_of,
    fetches,
    installed,
    orders,
    outcomes,
    reconfigure,
    served,
    served_unverified,
    tokens,
)

pytestmark = pytest.mark.integration


@pytest.fixture
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(folder, 3) as running:
        yield running


async def refused(fleet: Fleet) -> str:
    """Run a pass that must fail before validation and leave nothing published; return its error."""
    before = await served_unverified(fleet.first, NAME)
    finished = await fleet.issuer.run("renew", "--json")
    assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
    assert asked(fleet.ca, "/chalZ") == 0
    assert await served_unverified(fleet.first, NAME) == before
    return error_of(finished, "web")


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_every_node_answers_the_fetch_of_the_ca(fleet: Fleet, number: int) -> None:
    landed_on = fleet.edges[number]
    await fleet.dns.set_addresses(NAME, landed_on.address)
    finished = await fleet.issuer.run("renew")
    assert finished.exit_code == 0, finished
    found = {edge.name: await fetches(edge.responder) for edge in fleet.edges}
    assert [name for name, some in found.items() if some] == [landed_on.name]
    assert {(one["status"], one["host"]) for one in found[landed_on.name]} == {(200, NAME)}
    assert [await tokens(edge.responder) for edge in fleet.edges] == [0, 0, 0]
    assert await served(fleet.first, NAME) == installed(fleet.issuer, "web")


async def test_node_whose_nginx_is_down_is_named_and_the_ca_is_not_asked(fleet: Fleet) -> None:
    await fleet.edges[1].nginx.process.stop()
    reported = await refused(fleet)
    assert "node 'edge-2' at 127.0.0.3:" in reported
    assert f"http://{NAME}/.well-known/acme-challenge/" in reported
    assert "connection refused" in reported
    assert "'edge-1'" not in reported
    assert [await tokens(edge.responder) for edge in fleet.edges] == [0, 0, 0]


async def test_node_whose_responder_is_down_is_named_and_the_ca_is_not_asked(fleet: Fleet) -> None:
    await fleet.edges[2].responder.process.stop()
    reported = await refused(fleet)
    assert "cannot publish the tokens on node 'edge-3', so the CA was not asked: " in reported
    assert "wellkeeper-responder runs there" in reported
    assert "'edge-1'" not in reported
    assert [await tokens(edge.responder) for edge in fleet.edges[:2]] == [0, 0]


async def test_node_with_a_wrong_responder_is_named_with_url_status_and_cause(fleet: Fleet, folder: Path) -> None:
    """Point the node to a running responder with the same keys that receives no publications."""
    async with ResponderProcess(folder / "stray", fleet.issuer.trust_path, name="stray") as stray:
        nginx = fleet.edges[1].nginx
        await reconfigure(nginx, replace(nginx.settings, responder_socket=stray.public_socket))
        reported = await refused(fleet)
    assert "node 'edge-2' at 127.0.0.3:" in reported
    assert f"http://{NAME}/.well-known/acme-challenge/" in reported
    assert "gave HTTP 404: the responder behind this nginx lacks the token" in reported
    assert "nginx asks another responder" in reported
    assert "'edge-3'" not in reported


async def test_pass_after_the_node_came_back_resumes_the_order(fleet: Fleet, folder: Path) -> None:
    responder = fleet.edges[2].responder
    await responder.process.stop()
    await refused(fleet)
    async with ResponderProcess(folder / "edge-3", fleet.issuer.trust_path, name="edge-3"):
        finished = await fleet.issuer.run("renew", "--retry")
        assert finished.exit_code == 0, finished
    assert orders(fleet.ca) == 1
