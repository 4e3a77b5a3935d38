"""The agent's work beside loading certificates: hooks, deleting, and never going back; in simulated time."""

from functools import partial
from pathlib import Path

from tests.fakes_deliver import NOW
from tests.fleet import CA, A, sealed, version
from tests.node.agent.made import MadeNode, is_served, state, virtually
from wellkeeper_issuer.fleet.sealing import seal
from wellkeeper_node.agent.report import CertificateState
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import FleetError


def test_deploy_hook_that_fails_for_one_certificate_runs_for_the_others(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, has_hook=True)
        node.hook_fails_for = {"mail": FleetError("the hook failed", "no such mail server")}
        await node.issuer.enrol()
        await node.issuer.send("mail", sealed("mail"))
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: one.concern == "the hook failed: no such mail server")
            assert node.hooked == ["web"]

    virtually(work)


def test_deploy_hook_that_fails_does_not_keep_old_versions_on_disk(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, has_hook=True)
        node.hook_fails_for = {"web": FleetError("the hook failed")}
        async with node.running():
            for number in range(1, 9):
                await node.issuer.deliver(number)
                await node.reported(partial(is_served, number))
            await node.issuer.list(retire={"web": frozenset({"ab" * 32})})
            await node.reported(lambda _: bool(node.retired) and len(node.certificates.pairs["web"]) <= 6)

    virtually(work)


def test_certificate_that_is_no_longer_listed_is_retired_all_the_same(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            node.issuer.listed.clear()
            await node.issuer.list(disown={"web": frozenset({"ab" * 32})})
            await node.reported(lambda one: not one.certificates and bool(node.retired))
            assert node.certificates.live

    virtually(work)


def test_version_that_was_disowned_before_the_reload_is_never_gone_back_to(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        async with node.running():
            first = await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            pair = CA.pair(A)
            bad = reading.read_certificate(pair.chain_pem).fingerprint_sha256[:8]
            node.nginx.broken = "[emerg] another server block is broken"
            await node.issuer.send("web", seal("web", version(2), pair, [A], NOW))
            await node.issuer.list()
            await node.reported(lambda one: state(one, 2) is CertificateState.REFUSED)
            assert node.certificates.live["web"] == bad
            leaf = reading.read_certificate(first.chain_pem).fingerprint_sha256
            await node.issuer.list(disown={"web": frozenset({leaf})})
            node.nginx.broken = None
            node.nginx.bad_versions.add(bad)
            await node.reported(lambda one: "key values mismatch" in str(one.certificates["web"].cause))
            assert node.certificates.live["web"] == bad

    virtually(work)
