"""A pass that is killed or interrupted: nothing published stays, no second order, and the next pass goes on."""

import asyncio
import fcntl
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from stand.host import Host, running_host
from stand.issuer import Issuer
from stand.pebble import Pebble
from tests.integration.observed import events, installed, issued, journal, orders, served, tokens, version
from tests.integration.under_way import Gate, renewing

pytestmark = pytest.mark.integration

NAME = "www.example.org"
# The CA looks here in vain until the test lets it through; nodes are asked at their own addresses.
GATE_ADDRESS = "127.0.0.9"


@asynccontextmanager
async def gated_host(folder: Path) -> AsyncIterator[tuple[Host, Gate]]:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.dns.set_default_address(GATE_ADDRESS)
        async with Gate((GATE_ADDRESS, host.http[1]), host.http) as gate:
            yield host, gate


@contextmanager
def held_certificates(issuer: Issuer) -> Iterator[None]:
    """As another process that writes certificates would: an issuer that wants to install waits."""
    descriptor = os.open(issuer.certificates_dir / ".lock", os.O_RDWR)
    try:
        # All of the file, at whatever byte an issuer asks for its own.
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def logged(ca: Pebble, text: str) -> None:
    """Returns once the CA wrote it: what it does next takes it as long as the issuer's own wait of a second."""
    while text not in ca.process.log.read_text():  # noqa: ASYNC110 - another process's
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupted_validation_withdraws_its_tokens_and_the_next_pass_resumes_the_order(
    folder: Path, number: signal.Signals, exit_code: int
) -> None:
    async with gated_host(folder) as (host, gate):
        async with renewing(host.issuer) as run:
            order = await run.until("order", "finished")
            await gate.knocked()
            assert await tokens(host.responder) == 1
            finished = await run.end(number)
        assert finished.exit_code == exit_code, finished
        assert finished.err.splitlines()[-1].startswith("wellkeeper: interrupted")
        assert "Traceback" not in finished.err
        assert await tokens(host.responder) == 0
        await resume(host, gate, order["detail"])


async def test_pass_killed_during_validation_resumes_its_order(folder: Path) -> None:
    async with gated_host(folder) as (host, gate):
        async with renewing(host.issuer) as run:
            order = await run.until("order", "finished")
            await gate.knocked()
            assert (await run.end(signal.SIGKILL)).exit_code == -signal.SIGKILL
        (attempt,) = journal(host.issuer)["attempts"]
        assert order["detail"].startswith(attempt["order_url"])
        assert attempt["chain_pem"] is None
        await resume(host, gate, order["detail"])


async def resume(host: Host, gate: Gate, order: str) -> None:
    """The next pass goes on with this order, with the CA still in the middle of its validation."""
    async with renewing(host.issuer) as run:
        assert (await run.until("order", "finished"))["detail"] == order
        await run.until("validate", "started")
        gate.open()
        finished = await run.finish()
    assert finished.exit_code == 0, finished
    assert (orders(host.ca), issued(host.ca)) == (1, 1)
    assert await served(host, NAME) == installed(host.issuer, "web")
    assert await tokens(host.responder) == 0


async def test_pass_killed_while_the_ca_issues_takes_that_certificate(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        async with renewing(host.issuer) as run:
            order = await run.until("order", "finished")
            await run.until("finalize", "started")
            await logged(host.ca, "Processing finalization")
            await run.end(signal.SIGKILL)
        assert journal(host.issuer)["attempts"][0]["chain_pem"] is None
        async with renewing(host.issuer) as run:
            assert (await run.until("order", "finished"))["detail"].startswith(order["detail"].split(",")[0])
            finished = await run.finish()
        assert finished.exit_code == 0, finished
        assert (orders(host.ca), issued(host.ca)) == (1, 1)
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_pass_killed_before_it_installed_goes_on_without_asking_the_ca(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        async with renewing(host.issuer) as run:
            with held_certificates(host.issuer):
                await run.until("install", "started")
                await run.end(signal.SIGKILL)
        before = (orders(host.ca), issued(host.ca))
        assert journal(host.issuer)["attempts"][0]["chain_pem"] is not None
        finished = await host.issuer.run("renew", "--log-format", "json")
        assert finished.exit_code == 0, finished
        assert (orders(host.ca), issued(host.ca)) == before
        assert [stage for _, stage, event in events(finished) if event == "started"] == ["install", "reload", "verify"]
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert journal(host.issuer)["attempts"] == []


async def test_pass_killed_between_the_record_and_the_switch_is_delivered_by_the_next(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        placeholder = version(host.issuer, "web")
        async with renewing(host.issuer) as run:
            with held_certificates(host.issuer):
                await run.until("install", "started")
                held = sqlite3.connect(host.issuer.state_dir / "state.db", isolation_level=None)
                held.execute("BEGIN IMMEDIATE")
            while len(list((host.issuer.certificates_dir / "archive/web").glob("2*"))) < 2:  # noqa: ASYNC110 - another process's folder
                await asyncio.sleep(0.01)
            with held_certificates(host.issuer):
                held.close()
                while not journal(host.issuer)["deliveries"]:  # noqa: ASYNC110 - another process's record
                    await asyncio.sleep(0.01)
                await run.end(signal.SIGKILL)
        before = (orders(host.ca), issued(host.ca))
        assert version(host.issuer, "web") == placeholder
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 0, finished
        assert version(host.issuer, "web") != placeholder
        assert (orders(host.ca), issued(host.ca)) == before
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_second_issuer_at_the_same_state_is_turned_away(folder: Path) -> None:
    async with gated_host(folder) as (host, gate), renewing(host.issuer) as run:
        await gate.knocked()
        refused = await host.issuer.run("renew")
        assert refused.exit_code == 1
        assert "'wellkeeper renew' (pid " in refused.err
        assert f"is changing {host.issuer.state_dir}" in refused.err
        assert "Wait until it ends." in refused.err
        (reported,) = (await host.issuer.run_well("status", "--json")).json()["certificates"]
        assert (reported["state"], reported["is_renewal_under_way"]) == ("placeholder", True)
        gate.open()
        assert (await run.finish()).exit_code == 0
        assert orders(host.ca) == 1
