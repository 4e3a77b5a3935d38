"""A killed or interrupted pass: nothing stays published, no second order, and the next pass resumes."""

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
# The CA's fetches wait here until the test opens the gate; nodes are read back at their own addresses.
GATE_ADDRESS = "127.0.0.9"


@asynccontextmanager
async def gated_host(folder: Path) -> AsyncIterator[tuple[Host, Gate]]:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.dns.set_default_address(GATE_ADDRESS)
        async with Gate((GATE_ADDRESS, host.http[1]), host.http) as gate:
            yield host, gate


@contextmanager
def held_certificates(issuer: Issuer) -> Iterator[None]:
    """Lock the certificates as another writing process does, so that an issuer waits before installing."""
    descriptor = os.open(issuer.certificates_dir / ".lock", os.O_RDWR)
    try:
        # Lock the whole file, since an issuer may lock any byte of it.
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def logged(ca: Pebble, text: str) -> None:
    """Wait until the CA has logged the text; its next step takes as long as the issuer's wait of a second."""
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
    """Check that the next pass resumes this order while the CA is still validating."""
    async with renewing(host.issuer) as run:
        assert (await run.until("order", "finished"))["detail"] == order
        await run.until("validate", "started")
        gate.open()
        finished = await run.finish()
    assert finished.exit_code == 0, finished
    assert (orders(host.ca), issued(host.ca)) == (1, 1)
    assert await served(host, NAME) == installed(host.issuer, "web")
    assert await tokens(host.responder) == 0


async def test_pass_killed_while_the_ca_issues_is_resumed_with_that_certificate(folder: Path) -> None:
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


async def test_pass_killed_before_installing_resumes_without_asking_the_ca(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        async with renewing(host.issuer) as run:
            await run.until("publish", "started")  # the proof before the order takes the lock, too
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


async def test_pass_killed_between_record_and_switch_is_delivered_by_the_next(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        placeholder = version(host.issuer, "web")
        async with renewing(host.issuer) as run:
            await run.until("publish", "started")  # the proof before the order takes the lock, too
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


async def test_second_issuer_with_the_same_state_is_refused(folder: Path) -> None:
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
