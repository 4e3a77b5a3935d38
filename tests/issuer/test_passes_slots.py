"""Slots of certificates: a running pass never restores a forgotten certificate."""

import asyncio

from tests.fakes import run_tasks_until
from tests.issuer.hosts import LINEAGES, Host


async def test_forgetting_waits_for_the_running_pass(host: Host) -> None:
    gate, finalizing = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        finalizing.set()
        await gate.wait()

    async def forget() -> None:
        async with host.passes.slot("a"):
            await host.state.forget_lineage("a")

    host.ca.at_finalize = wait
    running = asyncio.create_task(host.run(LINEAGES[:1]))
    await finalizing.wait()
    forgetting = asyncio.create_task(forget())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not forgetting.done()
    gate.set()
    await forgetting
    # The slot was free then, so deleting the files now deletes all of them.
    assert host.certificates.live.keys() == {"a"}
    assert running.done() or await running
    assert await host.state.deliveries.installed() == frozenset()
    assert await host.state.deliveries.read_origin("a") is None
    assert await host.state.schedules.read_schedule("a") is None


async def test_held_slot_does_not_delay_other_certificates(host: Host) -> None:
    async with host.passes.slot("a"):
        running = asyncio.create_task(host.run(LINEAGES[:2]))
        await run_tasks_until(lambda: "b" in host.certificates.live)
        assert "a" not in host.certificates.live
    await running
    assert host.certificates.live.keys() == {"a", "b"}
