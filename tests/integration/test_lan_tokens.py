"""One node of three lacks the token: the CA is not asked, node and cause are named, and the order continues later."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from stand.daemon import IssuerDaemon
from stand.fault_proxy import Asked, Forward, Kind, Reply
from stand.lan import Lan
from tests.integration.lan_fleet import LINEAGE, NAME, LanFleet, running_lan
from tests.integration.observed import asked, error_of, orders, outcomes

pytestmark = [pytest.mark.integration, pytest.mark.network]

_IS_CHALLENGE: Final = "$uri ~ ^/.well-known/acme-challenge/"
_OTHER_BLOCK: Final = f"server {{ listen 80; server_name {NAME}; root /nonexistent; }}"
# What is wrong with nginx's configuration, and the words for it.
_FAULTS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"in_server": f"if ({_IS_CHALLENGE}) {{ return 403; }}"}, "HTTP 403: "),
    ({"in_server": f"if ({_IS_CHALLENGE}) {{ return 301 http://$host$request_uri; }}"}, "which is a redirect loop"),
    (
        {"in_server": f'if ({_IS_CHALLENGE}) {{ return 200 "<html>Hi</html>"; }}'},
        "HTTP 200: the answer is a web page",
    ),
    ({"in_http": _OTHER_BLOCK}, f"HTTP 404: the server block for {NAME} does not include the challenge location"),
)


async def fails(fleet: LanFleet, daemon: IssuerDaemon, words: str, at: str = "10.77.0.3:80") -> None:
    """Try to renew: web3 and these words must be in the error, in the log and in `status --nodes`."""
    before = len(daemon.log)
    finished = await fleet.renew("--retry")
    assert (finished.exit_code, outcomes(finished)) == (1, {LINEAGE: "failed"}), finished
    for text in (error_of(finished, LINEAGE), daemon.log[before:]):
        assert "the CA was not asked" in text
        assert f"node 'web3' at {at}: http://{NAME}/.well-known/acme-challenge/" in text
        assert words in text
    status = await fleet.status()
    assert status["web2"]["concern"] is None
    assert status["web3"]["concern"].startswith(f"no token for {NAME} at ")
    assert words in status["web3"]["concern"]
    assert asked(fleet.host.ca, "/chalZ") == 0


async def recovers(fleet: LanFleet) -> None:
    """Renew: this must be the first order."""
    await fleet.renewed("--retry")
    assert orders(fleet.host.ca) == 1
    assert [one["concern"] for one in (await fleet.status()).values()] == [None, None]


async def test_order_is_kept_through_all_faults_of_one_nginx(lan: Lan, folder: Path) -> None:
    async with running_lan(lan, folder) as fleet, IssuerDaemon(fleet.host.issuer) as daemon:
        nginx = fleet.nodes["web3"].nginx
        good = nginx.settings
        await nginx.process.stop()
        await fails(fleet, daemon, "connection refused")
        for fault, words in _FAULTS:
            nginx.write(replace(good, **fault))
            await nginx.process.stop()
            await nginx.process.start(nginx.is_ready)
            await fails(fleet, daemon, words)
        nginx.write(good)
        await nginx.process.stop()
        await nginx.process.start(nginx.is_ready)
        await recovers(fleet)


async def test_dead_responder_and_dead_agent_are_named(lan: Lan, folder: Path) -> None:
    async with running_lan(lan, folder) as fleet:
        dead = {"web2": fleet.nodes["web2"].responder, "web3": fleet.nodes["web3"].agent}
        for one in dead.values():
            one.process.signal(signal.SIGKILL)
            await one.process.wait()
        finished = await fleet.renew("--log-format", "json")
        assert outcomes(finished) == {LINEAGE: "failed"}
        status = await fleet.status()
        for node, cause in (
            ("web2", "cannot reach the responder of node 'web2'"),
            ("web3", "it has never reported"),
        ):
            for text in (error_of(finished, LINEAGE), finished.err):
                assert f"node '{node}'" in text
                assert f": {cause}" in text
            assert f": {cause}" in status[node]["concern"]
        assert asked(fleet.host.ca, "/chalZ") == 0
        for one in dead.values():
            await one.process.start(one.is_ready)
        await recovers(fleet)


async def test_responder_that_restarts_before_the_ca_asks_gets_the_token_again(lan: Lan, folder: Path) -> None:
    async with running_lan(lan, folder) as fleet:
        node = fleet.nodes["web3"]
        # Only this node is asked.
        await fleet.host.dns.set_addresses(NAME, node.host.address)

        async def restart(_: Asked, forward: Forward) -> Reply:
            await node.has_tokens(1)
            node.responder.process.signal(signal.SIGKILL)
            await node.responder.process.wait()
            await node.responder.process.start(node.responder.is_ready)
            await node.has_tokens(1)
            return await forward()

        fleet.ca.stage(Kind.CHALLENGE, restart)
        await fleet.renewed()
        assert orders(fleet.host.ca) == 1
