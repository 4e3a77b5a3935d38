"""An issuer that is restored from a backup which is older than its nodes: they never go back, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Issuer
from tests.integration.observed import installed, orders, outcomes
from tests.integration.test_backup import Safe, lose
from tests.integration.whole_fleets import Fleet, FleetNode, running_fleet

pytestmark = pytest.mark.integration

NAME, OTHER = "www.example.org", "mail.example.org"


@asynccontextmanager
async def never_older(nodes: Collection[FleetNode], leaf: str) -> AsyncIterator[None]:
    """Shake hands with the nodes all the time: none may refuse, or serve this leaf."""
    found = set[str | None]()

    async def look() -> None:
        while True:
            for node in nodes:
                found.add(await node.served(NAME))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert not found & {None, leaf}


async def until_it_waits_for(issuer: Issuer, *names: str) -> None:
    """Wait until `status` says that the issuer waits for these nodes; the time-out of the test is the limit."""
    found: list[str] | None = None
    while found != list(names):
        restore = (await issuer.run_well("status", "--json")).json()["restore"]
        found = [one["name"] for one in restore["missing"]]
        await asyncio.sleep(0.5)


async def renewed_after_a_backup(fleet: Fleet, safe: Safe) -> str:
    """Back up, renew one of two certificates, and return its leaf before that."""
    issuer = fleet.host.issuer
    await issuer.run_well("renew")
    before = installed(issuer, "web")
    await safe.back_up(issuer)
    await issuer.run_well("renew", "--force", "web")
    for node in fleet.nodes.values():
        await node.until_served(NAME, installed(issuer, "web"))
    return before


async def lose_and_restore(fleet: Fleet, safe: Safe) -> None:
    """Lose the issuer's host, whose relay keeps nothing, and restore it."""
    lose(fleet.host.issuer)
    await fleet.relay.restart()
    await safe.restore(fleet.host.issuer)


async def test_nodes_keep_what_was_renewed_after_the_backup_until_it_is_renewed_once(folder: Path) -> None:
    safe, certificates = Safe(folder / "safe"), {"web": [NAME], "mail": [OTHER]}
    async with running_fleet(folder, certificates, ["web2", "web3"]) as fleet:
        before = await renewed_after_a_backup(fleet, safe)
        async with never_older(fleet.nodes.values(), before):
            await lose_and_restore(fleet, safe)
            await restored_host_renews_without_a_daemon(fleet)
        await fleet.nodes["web3"].agent.process.stop()
        async with never_older(fleet.nodes.values(), before):
            await lose_and_restore(fleet, safe)
            async with IssuerDaemon(fleet.host.issuer) as daemon:
                await restored_daemon_waits_for_a_missing_node(fleet, daemon)


async def restored_host_renews_without_a_daemon(fleet: Fleet) -> None:
    issuer, count = fleet.host.issuer, orders(fleet.host.ca)
    # It is not due before both nodes have reported, which may take long on a busy machine.
    while outcomes(finished := await issuer.run_well("renew", "--json")) == {"web": "unchanged", "mail": "unchanged"}:  # noqa: ASYNC110
        await asyncio.sleep(1)
    assert outcomes(finished) == {"web": "served", "mail": "unchanged"}
    assert finished.json()["certificates"][0]["reason"].startswith("it was renewed after the backup")
    assert orders(fleet.host.ca) == count + 1
    for node in fleet.nodes.values():
        await node.until_served(NAME, installed(issuer, "web"))
    assert outcomes(await issuer.run_well("renew", "--json")) == {"web": "unchanged", "mail": "unchanged"}


async def restored_daemon_waits_for_a_missing_node(fleet: Fleet, daemon: IssuerDaemon) -> None:
    """The remedy that it names lets it continue."""
    issuer, count, web3 = fleet.host.issuer, orders(fleet.host.ca), fleet.nodes["web3"]
    await until_it_waits_for(issuer, "web3")
    finished = await issuer.run("renew", "--force", "--json")
    assert (finished.exit_code, outcomes(finished)) == (1, {"web": "waiting", "mail": "waiting"})
    assert "missing: web3" in finished.out
    assert (await issuer.run("status", "--check")).exit_code == 1
    assert orders(fleet.host.ca) == count

    issuer.config_path.write_text(f"{issuer.config_path.read_text()}restore_wait_minutes = 0\n")
    await issuer.run_well("reload")
    await daemon.until(event="log", detail="the wait after the restore is over without web3")
    assert outcomes(await issuer.run("renew", "--without", "web3", "--json"))["mail"] == "unchanged"
    await fleet.nodes["web2"].until_served(NAME, installed(issuer, "web"))
    assert orders(fleet.host.ca) == count + 1
    await web3.agent.process.start(web3.agent.is_ready)
    await web3.until_served(NAME, installed(issuer, "web"))
