"""Certificates on their way through the agent, in simulated time."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes_deliver import NOW
from tests.fleet import CA, PAIR, TIME, WEB1, WEB2, A, B, public, sealed, version
from tests.node.agent.made import MadeNode, is_served, state, virtually
from wellkeeper_issuer.fleet.sealing import seal, wrap
from wellkeeper_node.agent.report import CertificateState
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import FleetError, InstallError


@pytest.fixture
def node(folder: Path) -> MadeNode:
    return MadeNode(folder)


def test_bundle_is_installed_loaded_served_and_reported_with_one_reload(node: MadeNode) -> None:
    async def work() -> None:
        await node.issuer.enrol()
        await node.issuer.send("mail", sealed("mail"))
        pair = await node.issuer.deliver(1)
        async with node.running():
            report = await node.reported(lambda one: is_served(1, one))
            leaf = reading.read_certificate(pair.chain_pem).fingerprint_sha256
            assert report.certificates["web"].leaf_sha256 == leaf
            assert state(report, 1, "mail") in {CertificateState.INSTALLED, CertificateState.SERVED}
            assert node.issuer.manifest is not None
            assert report.manifest == node.issuer.manifest.number
            assert len(node.nginx.reloads) == 1

    virtually(work)


def test_certificate_that_no_server_block_uses_is_installed(node: MadeNode) -> None:
    async def work() -> None:
        node.nginx.needed.clear()
        node.nginx.blocks.clear()
        node.probes.instead = reading.read_certificate(CA.pair(B).chain_pem)
        async with node.running():
            await node.issuer.deliver(1)
            report = await node.reported(lambda one: state(one, 1) is CertificateState.INSTALLED)
            assert report.certificates["web"].cause == "no server block of nginx uses it yet"

    virtually(work)


def test_only_lineages_of_the_nodes_record_are_wanted(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.send("mail", sealed("mail"))
            await node.issuer.deliver(1)
            await node.reported(lambda one: "mail" in one.certificates)
            await node.issuer.enrol(lineages=("web",))
            await node.reported(lambda one: set(one.certificates) == {"web"})

    virtually(work)


def test_version_that_nginx_refuses_is_rolled_back_and_loaded_after_the_repair(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            first = node.certificates.live["web"]
            pair = CA.pair(A)
            node.nginx.bad_versions.add(reading.read_certificate(pair.chain_pem).fingerprint_sha256[:8])
            await node.issuer.deliver(2, pair)
            report = await node.reported(lambda one: state(one, 2) is CertificateState.REFUSED)
            assert "key values mismatch" in (report.certificates["web"].cause or "")
            assert node.certificates.live["web"] == first
            node.nginx.bad_versions.clear()
            await node.reported(lambda one: is_served(2, one))

    virtually(work)


def test_wrong_certificate_on_the_wire_is_reported_as_wrong(node: MadeNode) -> None:
    async def work() -> None:
        node.probes.instead = reading.read_certificate(CA.pair(A).chain_pem)
        async with node.running():
            await node.issuer.deliver(1)
            report = await node.reported(lambda one: state(one, 1) is CertificateState.WRONG)
            assert "serves serial" in (report.certificates["web"].cause or "")
            node.probes.instead = None
            await node.reported(lambda one: is_served(1, one))

    virtually(work)


def test_bundle_with_a_wrong_certificate_is_reported_and_not_installed(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            live = dict(node.certificates.live)
            made = seal("web", version(2), CA.pair(A), [A], NOW)
            wrong = replace(made, entry=replace(made.entry, leaf_sha256="ab" * 32))
            await node.issuer.send("web", wrong)
            await node.issuer.list()
            report = await node.reported(lambda one: state(one, 2) is CertificateState.WRONG)
            assert "is not the one that the manifest lists" in (report.certificates["web"].cause or "")
            assert node.certificates.live == live

    virtually(work)


def test_full_disk_is_reported_and_the_certificate_installed_later(node: MadeNode) -> None:
    async def work() -> None:
        node.certificates.full_disk_for.add("web")
        async with node.running():
            await node.issuer.deliver(1)
            report = await node.reported(lambda one: state(one, 1) is CertificateState.FAILED)
            assert report.certificates["web"].cause == "cannot use /certificates/archive/web: No space left on device"
            node.certificates.full_disk_for.clear()
            await node.reported(lambda one: is_served(1, one))

    virtually(work)


def test_fault_in_the_program_fails_one_certificate(node: MadeNode, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        def fail(_count: int) -> None:
            raise ZeroDivisionError

        node.nginx.at_test = fail
        async with node.running():
            await node.issuer.deliver(1)
            report = await node.reported(lambda one: state(one, 1) is CertificateState.FAILED)
            assert report.certificates["web"].cause == "ZeroDivisionError()"

    virtually(work)
    assert "certificate web" in caplog.text


def test_bundle_and_wrap_that_have_not_arrived_are_waited_for(node: MadeNode) -> None:
    async def work() -> None:
        await node.issuer.enrol()
        made = seal("web", version(1), PAIR, [A], NOW)
        node.issuer.listed["web"] = made
        await node.issuer.list()
        async with node.running():
            report = await node.reported(lambda one: state(one, 1) is CertificateState.WAITING)
            assert report.certificates["web"].cause is None or "nothing is sealed" in report.certificates["web"].cause
            await node.reported(lambda one: "nothing is sealed for this node" in str(one.certificates["web"].cause))
            await node.issuer.put(wrap(made, "web2", public(WEB2)).to_record(TIME))
            await node.reported(lambda one: one.certificates["web"].cause == "the relay does not have it")
            await node.issuer.put(made.bundle.to_record(TIME))
            await node.reported(lambda one: is_served(1, one))

    virtually(work)


def test_wrap_is_replaced_under_the_same_number(node: MadeNode) -> None:
    async def work() -> None:
        made = seal("web", version(1), PAIR, [A], NOW)
        await node.issuer.put(wrap(made, "web2", public(WEB1)).to_record(TIME))
        await node.issuer.put(made.bundle.to_record(TIME))
        node.issuer.listed["web"] = made
        await node.issuer.list()
        async with node.running():
            report = await node.reported(lambda one: state(one, 1) is CertificateState.FAILED)
            assert "does not open with the key of this node" in (report.certificates["web"].cause or "")
            await node.issuer.put(wrap(made, "web2", public(WEB2)).to_record(TIME + 1))
            await node.reported(lambda one: is_served(1, one))

    virtually(work)


def test_agent_that_crashed_before_the_reload_continues(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
        loaded = dict(node.probes.loaded)
        pair = CA.pair(A)
        await node.issuer.deliver(2, pair)
        node.nginx.refusal = "nginx did not load it"
        async with node.running():
            await node.reported(lambda one: state(one, 2) is CertificateState.REFUSED)
        assert node.probes.loaded == loaded
        node.nginx.refusal = None
        async with node.running():
            await node.reported(lambda one: is_served(2, one))
        (node.folder / "pending.json").unlink()
        node.probes.loaded = loaded
        async with node.running():
            await node.reported(lambda one: is_served(2, one))
        assert node.probes.loaded == node.certificates.live

    virtually(work)


def test_disowned_version_is_never_gone_back_to(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            first = await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            pair = CA.pair(A)
            node.nginx.bad_versions.add(reading.read_certificate(pair.chain_pem).fingerprint_sha256[:8])
            leaf = reading.read_certificate(first.chain_pem).fingerprint_sha256
            await node.issuer.send("web", seal("web", version(2), pair, [A], NOW))
            await node.issuer.list(disown={"web": frozenset({leaf})})
            await node.reported(lambda one: state(one, 2) is CertificateState.REFUSED)
            assert node.certificates.live["web"] == reading.read_certificate(pair.chain_pem).fingerprint_sha256[:8]
            assert node.retired

    virtually(work)


def test_deploy_hook_that_fails_runs_again(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, has_hook=True)
        node.hook_fails_for["web"] = FleetError("the hook failed", "it exited with status 1")
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: one.concern == "the hook failed: it exited with status 1")
        async with node.running():
            node.hook_fails_for.clear()
            await node.reported(lambda one: one.concern is None)
        assert node.hooked == ["web"]

    virtually(work)


@pytest.mark.parametrize("error", [InstallError("cannot use /certificates", "Input/output error"), ZeroDivisionError()])
def test_certificates_directory_that_cannot_be_read_is_tried_again(node: MadeNode, error: Exception) -> None:
    async def work() -> None:
        node.live_error = error
        await node.issuer.deliver(1)
        async with node.running():
            await node.reported(lambda one: one.manifest > 0)
            await asyncio.sleep(10)
            node.live_error = None
            await node.reported(lambda one: is_served(1, one))

    virtually(work)
