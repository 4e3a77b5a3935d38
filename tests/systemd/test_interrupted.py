"""Interruptions at one request to the CA: a power cut, and a restart of the responder."""

import asyncio
from pathlib import Path

import pytest

from stand.fault_proxy import Asked, FaultProxy, Forward, Kind, Reply
from stand.machine import Machine
from stand.pebble import Pebble
from tests.integration.observed import issued, orders
from tests.systemd.server import DAEMON, NAME, RESPONDER, Server

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]


async def test_order_is_resumed_after_a_power_cut_in_finalize(machine: Machine, ca: Pebble, folder: Path) -> None:
    reached = asyncio.Event()

    async def hang(_: Asked, forward: Forward) -> Reply:
        reply = await forward()
        reached.set()
        await asyncio.Event().wait()
        return reply

    async with FaultProxy(folder, ca) as proxy:
        proxy.stage(Kind.FINALIZE, hang)
        server = Server(machine, ca, proxy)
        await server.set_up()
        await machine.run_well("systemctl", "enable", "--now", DAEMON)
        async with asyncio.timeout(240):
            await reached.wait()
        await machine.cut_power()
        await machine.boot()
        await server.until_served()
    assert (orders(ca), issued(ca)) == (1, 1)


async def test_responder_restarted_between_order_and_publication_does_not_fail_the_renewal(
    machine: Machine, ca: Pebble, folder: Path
) -> None:
    starting: list[asyncio.Task[str]] = []

    async def restart(_: Asked, forward: Forward) -> Reply:
        reply = await forward()
        await machine.run_well("systemctl", "stop", RESPONDER)
        starting.append(asyncio.create_task(machine.shell(f"sleep 1; systemctl start {RESPONDER}")))
        return reply

    async with FaultProxy(folder, ca) as proxy:
        proxy.stage(Kind.NEW_ORDER, restart)
        server = Server(machine, ca, proxy)
        await server.set_up()
        await machine.run_well("wellkeeper", "renew", NAME)
        await asyncio.gather(*starting)
        assert await server.served() is not None
