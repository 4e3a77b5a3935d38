"""A responder that restarts before the CA has decided gets the token again."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import Host, running_host
from stand.responder import ResponderProcess
from tests.integration.observed import fetches, installed, issued, served, tokens
from tests.integration.under_way import Gate, renewing
from tests.responder.http import ask_until
from wellkeeper_client import wire
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

NAME = "www.example.org"
GATE_ADDRESS = "127.0.0.9"


async def restart(host: Host, folder: Path, number: signal.Signals) -> ResponderProcess:
    """Return another process at the same sockets with the same trust; the caller enters it."""
    host.responder.process.signal(number)
    await host.responder.process.wait()
    return ResponderProcess(folder / "responder", host.issuer.trust_path, name="restarted")


async def test_responder_that_is_away_when_the_token_is_published_is_waited_for(folder: Path) -> None:
    """As by `systemctl restart`, which returns before the responder listens."""
    async with running_host(folder, {"web": [NAME]}) as host:
        responder = await restart(host, folder, signal.SIGTERM)
        async with renewing(host.issuer) as run:
            await run.until_said("waiting 10 s for it")
            async with responder:
                finished = await run.finish()
                assert finished.exit_code == 0, finished
        assert await served(host, NAME) == installed(host.issuer, "web")
    assert issued(host.ca) == 1


async def test_responder_that_stays_away_is_reported_and_the_ca_not_asked(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await restart(host, folder, signal.SIGTERM)
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 1
        assert "cannot publish the tokens on node 'local', so the CA was not asked" in finished.out
        assert "Check that wellkeeper-responder runs there" in finished.out


@pytest.mark.parametrize(("number", "is_read_back"), [(signal.SIGTERM, True), (signal.SIGKILL, False)])
async def test_restarted_responder_gets_the_token_again_and_the_certificate_is_issued(
    folder: Path, number: signal.Signals, is_read_back: bool
) -> None:
    """Disable the read-back, so that nothing is fetched before the restart."""
    async with running_host(folder, {"web": [NAME]}) as host:
        if not is_read_back:
            (node,) = host.issuer_settings.nodes
            dead = replace(node, http_address=("127.0.0.77", host.http[1]))
            host.issuer.configure(replace(host.issuer_settings, nodes=(dead,), more=('read_back = "advisory"',)))
        await host.dns.set_default_address(GATE_ADDRESS)
        async with Gate((GATE_ADDRESS, host.http[1]), host.http) as gate, renewing(host.issuer) as run:
            await gate.knocked()
            async with await restart(host, folder, number) as responder:
                address = UnixAddress(responder.control_socket)
                await ask_until(address, wire.STATUS_PATH, lambda reply: bool(reply.json()["counts"]["tokens"] == 1))
                gate.open()
                finished = await run.finish()
                assert finished.exit_code == 0, finished
                assert {one["status"] for one in await fetches(responder)} == {200}
                assert await tokens(responder) == 0
        assert await served(host, NAME) == installed(host.issuer, "web")
