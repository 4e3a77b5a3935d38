"""Two issuers and one engine: the second waits until the first has ended, and nodes that have moved are shown."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.contracts.test_fleet import WEB2, WEB3
from tests.integration.test_engine_rights import NODE, Engine, engine, lines
from tests.relay.messages import WEB1_KEY
from wellkeeper_client import records
from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.assembly import build, fleets
from wellkeeper_issuer.assembly.engine_checks import check_engine
from wellkeeper_issuer.assembly.leases import read_lease
from wellkeeper_issuer.assembly.worker import Leading
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.state import Held
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node.agent.report import Report
from wellkeeper_node.errors import FleetError
from wellkeeper_node.findings import Verdict

pytestmark = pytest.mark.integration

WEB1: Final = replace(WEB3, name="web1", signing_key=encode_public_key(WEB1_KEY.public_key()))


def settings_of(made: Engine, folder: Path, name: str) -> Settings:
    """Return the settings of another issuer with the same engine."""
    path = folder / f"{name}.toml"
    path.write_text(
        f"state_dir = '{folder}/{name}'\ncertificates_dir = '{folder}/certificates-{name}'\n"
        f"[fleet]\nlisten = ['127.0.0.1:8404']\nrelay = 'unix:{folder}/no-relay'\n"
        f"[fleet.engine]\naddress = '{made.address.text}'\n"
        f"password_file = '{folder}/issuer.password'\nnode_password_file = '{folder}/nodes.password'\n"
    )
    return read_settings(path)


@asynccontextmanager
async def issuer(settings: Settings) -> AsyncIterator[tuple[Fleet, State, Held]]:
    """Run the fleet as a daemon does."""
    settings.state_dir.mkdir(mode=0o700)
    async with (
        build.owned_state(settings, "test") as (state, held),
        fleets.fleet(settings, state, is_daemon=True) as fleet,
    ):
        assert fleet is not None
        yield fleet, state, held


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for a condition; the time-out of the test is the limit."""
    for _ in itertools.takewhile(lambda _: not is_true(), itertools.count()):
        await asyncio.sleep(0.05)


async def begin_by_itself(settings: Settings, state: State) -> None:
    async with fleets.fleet(settings, state, is_daemon=False):
        pass


async def test_second_issuer_waits_until_the_first_has_ended(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made, AsyncExitStack() as stack:
        first, _, _ = await stack.enter_async_context(issuer(settings_of(made, folder, "a")))
        await until(lambda: first.lease is not None and first.lease.is_held)
        settings = settings_of(made, folder, "b")
        async with issuer(settings) as (second, state, held):
            await until(lambda: second.lease is not None and second.lease.is_taken)
            with pytest.raises(FleetError, match="another issuer feeds the engine"):
                await fleets.check_leading(second)
            with pytest.raises(FleetError, match="another issuer feeds the engine"):
                await begin_by_itself(settings, state)
            beginning = asyncio.create_task(Leading(held, second).extend())
            await asyncio.sleep(0.1)
            assert not beginning.done()
            await stack.aclose()
            await beginning
            assert not Leading(held, second).lost.is_set()


async def test_holder_of_the_lease_is_shown_on_both_hosts(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made:
        first, second = (settings_of(made, folder, name) for name in "ab")
        second.state_dir.mkdir()
        async with issuer(first) as (fleet, _, _):
            await until(lambda: fleet.lease is not None and fleet.lease.is_held)
            here, there = await read_lease(first), await read_lease(second)
        assert str(here) == f"this host holds the engine's lease: {os.uname().nodename} pid {os.getpid()}"
        assert str(there) == f"another issuer holds the engine's lease: {os.uname().nodename} pid {os.getpid()}"
        assert (here.is_elsewhere, there.is_elsewhere) == (False, True)
        assert str(await read_lease(first)) == "no issuer holds the engine's lease"


async def test_nodes_that_have_moved_are_shown(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made:
        settings = settings_of(made, folder, "a")
        async with issuer(settings) as (_, state, _), made.user(NODE, "web1") as (_, node):
            for one in (WEB1, WEB2, WEB3):
                await state.fleet.record_node(one)
            now = int(time.time())
            report = Report("1.2.3", now).to_record("web1", 1, now)
            await node.put("report/web1", records.sign(report, WEB1_KEY).encode())
            await node.put("report/web2", b"made up")
            found = await check_engine(settings, made.address)
    nodes = {one.subject: (one.verdict, bool(one.fix)) for one in found if one.check == "nodes"}
    warned = (Verdict.WARN, True)
    assert nodes == {"web1": (Verdict.OK, False), "web2": warned, "web3": warned}
