"""`key switch account` that is killed between any two of its steps is finished by the same command."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from stand.host import Host, running_host
from tests.integration.observed import asked, installed, outcomes, served

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
        finished = await issuer.run("renew", "--force", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert await served(host, NAME) == installed(issuer, "web")
