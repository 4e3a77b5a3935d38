"""Commands that replace keys, killed between any two of their steps, are finished by the next command of the page."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from tests.integration.observed import asked, installed, outcomes, served
from wellkeeper_issuer.outside.keys.signing_keys import SigningKey

pytestmark = pytest.mark.integration

NAME = "www.example.org"
_ACCOUNT, _CHANGE = "/sign-me-up", "/rollover-account-key"
SWITCH = ("key", "switch", "account")


async def kill_once_asked(host: Host, path: str, times: int) -> None:
    """Start the switch, and kill it once the CA has received the request so often, or it has ended."""
    before = asked(host.ca, path)
    process = await host.issuer.start(*SWITCH)
    ended = asyncio.create_task(process.wait())
    while asked(host.ca, path) < before + times and not ended.done():
        await asyncio.wait([ended], timeout=0.005)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await ended


@pytest.mark.parametrize(
    ("path", "times"),
    [(_ACCOUNT, 1), (_CHANGE, 1), (_ACCOUNT, 2)],
    ids=["while the CA is asked about the key", "while the CA changes it", "while the CA confirms it"],
)
async def test_switch_of_the_account_key_that_was_killed_is_finished(folder: Path, path: str, times: int) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        issuer = host.issuer
        await issuer.run_well("renew")
        await issuer.run_well("key", "prepare", "account")
        await issuer.run_well("trust", "--write")
        listed = (await issuer.run_well("key", "list", "--json")).json()["keys"]
        (following,) = [one["id"] for one in listed if (one["kind"], one["state"]) == ("account", "next")]
        await kill_once_asked(host, path, times)
        if list((issuer.state_dir / "accounts").glob("*.next.pem")):
            await issuer.run_well(*SWITCH)
        listed = (await issuer.run_well("key", "list", "--json")).json()["keys"]
        assert [one["id"] for one in listed if one["kind"] == "account"] == [following]
        await issuer.run_well("trust", "--write")
        await renew(host)


async def test_switch_that_was_killed_before_the_daemon_knew_is_finished_by_retire(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host, IssuerDaemon(host.issuer):
        issuer, key = host.issuer, SigningKey(host.issuer.state_dir, "publishing_key", "publishing")
        await issuer.run_well("key", "prepare", "publishing")
        await issuer.run_well("trust", "--write")
        key.switch()  # all that a process does that is killed before it asks the daemon
        await renew(host)
        refused = await issuer.run("key", "switch", "publishing")
        assert (refused.exit_code, "key retire publishing" in refused.err) == (2, True), refused
        await issuer.run_well("key", "retire", "publishing")
        await issuer.run_well("trust", "--write")
        await renew(host)


async def test_retire_that_was_killed_is_finished(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host, IssuerDaemon(host.issuer) as daemon:
        issuer, key = host.issuer, SigningKey(host.issuer.state_dir, "publishing_key", "publishing")
        await issuer.run_well("key", "prepare", "publishing")
        await issuer.run_well("trust", "--write")
        key.switch()
        os.kill(daemon.pid, signal.SIGSTOP)  # so that the command waits for it
        try:
            process = await issuer.start("key", "retire", "publishing")
            await asyncio.wait([asyncio.create_task(process.wait())], timeout=2)
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        assert key.former is not None
        await issuer.run_well("key", "retire", "publishing")
        assert SigningKey(issuer.state_dir, "publishing_key", "publishing").former is None
        await issuer.run_well("trust", "--write")
        await renew(host)


async def renew(host: Host) -> None:
    finished = await host.issuer.run("renew", "--force", "--json")
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
    assert await served(host, NAME) == installed(host.issuer, "web")
