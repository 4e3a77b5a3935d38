"""A node's agent with a real relay, responder and nginx, while the test plays the issuer."""

import asyncio
import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.node_hosts import LINEAGE, NAME, NODE, NodeHost, node_host, status_with
from tests.integration.observed import reload, reloads
from tests.node.agent.made import JTI, holds
from tests.responder.http import ask
from tests.responder.messages import THUMBPRINT, TOKEN
from wellkeeper_client import wire
from wellkeeper_node.agent.report import CertificateState, Report
from wellkeeper_responder.settings import TcpAddress

pytestmark = pytest.mark.integration


def has(report: Report, number: int, state: CertificateState) -> bool:
    found = report.certificates.get(LINEAGE)
    return found is not None and (found.number, found.state) == (number, state)


async def fetch(host: NodeHost, token: str) -> tuple[int, bytes]:
    """Ask as the CA does, through nginx."""
    address = TcpAddress(*host.nginx.settings.http[0])
    reply = await ask(address, "GET", wire.CHALLENGE_PREFIX + token, {"Host": NAME})
    return reply.status, reply.body


async def test_token_is_held_read_back_fetched_withdrawn_and_reported(folder: Path) -> None:
    async with node_host(folder) as host, host.agent():
        await host.issuer.publish(TOKEN, JTI)
        report = await host.issuer.report(holds)
        (read_back,) = report.publications[JTI].read_backs
        assert (read_back.node, read_back.status) == (NODE, 200)
        assert report.fetches == {}
        assert await fetch(host, TOKEN) == (200, f"{TOKEN}.{THUMBPRINT}".encode())
        report = await host.issuer.report(lambda one: TOKEN in one.fetches)
        assert (report.fetches[TOKEN].count, report.fetches[TOKEN].clients) == (1, ("127.0.0.1",))
        assert report.responder.thumbprints == (THUMBPRINT,)
        await host.issuer.withdraw(TOKEN, JTI)
        await host.issuer.report(lambda one: JTI not in one.publications)
        assert (await fetch(host, TOKEN))[0] == 404


async def test_bundle_is_installed_reloaded_served_and_reported(folder: Path) -> None:
    async with node_host(folder) as host, host.agent() as agent:
        leaf = await host.issuer.deliver(1)
        report = await host.issuer.report(lambda one: has(one, 1, CertificateState.SERVED))
        assert report.certificates[LINEAGE].leaf_sha256 == leaf == await host.served()
        shown = await status_with(lambda shown: not json.loads(shown)["problems"], agent, "--json")
        assert shown.exit_code == 0, shown.output


async def test_responder_that_restarts_gets_the_token_again(folder: Path) -> None:
    async with node_host(folder) as host, host.agent():
        await host.issuer.publish(TOKEN, JTI)
        first = await host.issuer.report(lambda one: holds(one) and bool(one.responder.instance_id))
        await host.responder.process.stop()
        await host.responder.process.start(host.responder.is_ready)
        former = {"", first.responder.instance_id}
        await host.issuer.report(lambda one: holds(one) and one.responder.instance_id not in former)
        assert (await fetch(host, TOKEN))[0] == 200


async def test_relay_that_was_killed_gets_reports_and_the_manifest_again(folder: Path) -> None:
    async with node_host(folder) as host, host.agent():
        await host.issuer.deliver(1)
        await host.issuer.report(lambda one: has(one, 1, CertificateState.SERVED))
        kept = host.issuer.wanted.pop("manifest/fleet")
        await host.relay.process.stop()
        await host.relay.process.start(host.relay.is_ready)
        await host.issuer.fill()
        await host.issuer.publish(TOKEN, JTI)
        await host.issuer.report(holds)
        found = await host.issuer.relay.get("manifest/fleet")
        assert found is not None
        assert found.value == kept
        leaf = await host.issuer.deliver(2)
        await host.issuer.report(lambda one: has(one, 2, CertificateState.SERVED))
        assert await host.served() == leaf


async def test_certificate_that_nginx_refuses_is_reported_and_served_after_the_repair(folder: Path) -> None:
    async with node_host(folder) as host, host.agent():
        leaf = await host.issuer.deliver(1)
        await host.issuer.report(lambda one: has(one, 1, CertificateState.SERVED))
        good = host.nginx.config_path.read_text()
        host.nginx.config_path.write_text(good + "nonsense;")
        newer = await host.issuer.deliver(2)
        report = await host.issuer.report(lambda one: has(one, 2, CertificateState.REFUSED))
        assert 'unknown directive "nonsense"' in (report.certificates[LINEAGE].cause or "")
        assert await host.served() == leaf
        host.nginx.config_path.write_text(good)
        await host.issuer.report(lambda one: has(one, 2, CertificateState.SERVED))
        assert await host.served() == newer


async def test_read_back_that_nginx_denies_is_reported_and_good_after_the_repair(folder: Path) -> None:
    async with node_host(folder) as host, host.agent():
        good = host.nginx.settings
        host.nginx.write(replace(good, in_server="return 403;"))
        await reload(host.nginx)
        await host.issuer.publish(TOKEN, JTI)
        report = await host.issuer.report(lambda one: JTI in one.publications and not holds(one))
        (read_back,) = report.publications[JTI].read_backs
        assert read_back.status == 403
        assert report.publications[JTI].is_held
        host.nginx.write(good)
        await reload(host.nginx)
        await host.issuer.report(holds)


async def test_node_that_was_away_for_three_versions_ends_with_the_newest(folder: Path) -> None:
    async with node_host(folder) as host:
        async with host.agent():
            await host.issuer.deliver(1)
            await host.issuer.report(lambda one: has(one, 1, CertificateState.SERVED))
        missed = [await host.issuer.deliver(number) for number in (2, 3)]
        leaf, before = await host.issuer.deliver(4), reloads(host.nginx)
        async with host.agent():
            await host.issuer.report(lambda one: has(one, 4, CertificateState.SERVED))
            assert await host.served() == leaf
        assert reloads(host.nginx) == before + 1
        kept = [one.name for one in (folder / "certificates/archive" / LINEAGE).iterdir()]
        assert not [name for name in kept for one in missed if one[:8] in name]


async def test_older_records_of_a_relay_that_was_restored_change_nothing(folder: Path) -> None:
    async with node_host(folder) as host, host.agent():
        await host.issuer.deliver(1)
        older = dict(host.issuer.wanted)
        leaf = await host.issuer.deliver(2)
        newest = await host.issuer.report(lambda one: has(one, 2, CertificateState.SERVED))
        await host.relay.process.stop()
        await host.relay.process.start(host.relay.is_ready)
        host.issuer.wanted = older
        await host.issuer.fill()
        await host.issuer.publish(TOKEN, JTI)
        report = await host.issuer.report(lambda one: holds(one) and has(one, 2, CertificateState.SERVED))
        assert report.manifest == newest.manifest
        assert await host.served() == leaf


async def test_deploy_hook_runs_after_the_reload_and_again_until_it_succeeds(folder: Path) -> None:
    async with node_host(folder) as host:
        hook = folder / "hook"
        hook.write_text(
            "#!/bin/sh\n"
            f"echo $WELLKEEPER_EVENT $WELLKEEPER_CERTIFICATE $RENEWED_DOMAINS >>{folder}/ran\n"
            f"[ -e {folder}/may ]\n"
        )
        hook.chmod(0o755)
        async with host.agent(f'[hooks]\ndeploy = ["{hook}"]\n') as agent:
            await host.issuer.deliver(1)
            report = await host.issuer.report(lambda one: bool(one.concern))
            assert "the deploy hook for web failed" in (report.concern or "")
            shown = await status_with(lambda shown: "the deploy hook for web failed" in shown, agent)
            assert shown.exit_code == 1, shown.output
            (folder / "may").touch()
            await host.issuer.report(lambda one: one.concern is None)
        lines = (folder / "ran").read_text().splitlines()
        assert set(lines) == {f"deploy web {NAME}"}
        assert len(lines) > 1


async def test_disowned_version_is_deleted_once_nginx_no_longer_serves_it(folder: Path) -> None:
    async with node_host(folder) as host, host.agent():
        leaf = await host.issuer.deliver(1)
        await host.issuer.report(lambda one: has(one, 1, CertificateState.SERVED))
        archive = folder / "certificates/archive" / LINEAGE
        assert [one.name for one in archive.glob(f"*-{leaf[:8]}")]
        await host.issuer.deliver(2, disown={LINEAGE: frozenset({leaf})})
        await host.issuer.report(lambda one: has(one, 2, CertificateState.SERVED))
        for _ in itertools.takewhile(lambda _: list(archive.glob(f"*-{leaf[:8]}")), itertools.count()):
            await asyncio.sleep(0.05)
