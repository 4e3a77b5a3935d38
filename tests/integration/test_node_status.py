"""`wellkeeper-node status` on a node: metrics, and certificates that the fleet does not deliver."""

import json
from pathlib import Path

import pytest

from tests.fakes_deliver import dns
from tests.integration.node_hosts import NAME, node_host, status_with
from tests.integration.test_node_service import ended, is_served
from tests.json_docs import assert_documented
from wellkeeper_node.certificates.folders import CertificateFolders

pytestmark = pytest.mark.integration


async def test_status_has_metrics_and_shows_what_nothing_renews(folder: Path) -> None:
    async with node_host(folder) as host:
        folders = CertificateFolders(folder / "certificates")
        await folders.switch("old", await folders.write("old", host.issuer.ca.pair(dns(NAME))))
        async with host.agent() as agent:
            config = ("--config", str(agent.config_path))
            await host.issuer.deliver(1)
            await host.issuer.report(is_served(1))
            shown = await status_with(lambda shown: "web: served" in shown, agent)
            assert (shown.exit_code, "old: not delivered to this node; the one here" in shown.output) == (0, True), (
                shown
            )
            nginx = host.nginx.process
            assert f"nginx: reached on this host (process {nginx.pid})\n" in shown.output
            metrics = await ended("status", "--prometheus", *config)
            assert metrics.exit_code == 0, metrics
            for line in ('node_certificate_served{certificate="web"} 1', "node_certificates_behind 0"):
                assert f"wellkeeper_{line}\n" in metrics.output
            assert 'wellkeeper_node_certificate_not_after_seconds{certificate="old"}' in metrics.output
            assert (await ended("status", "--prometheus", "--json", *config)).exit_code == 2


async def test_nginx_that_does_not_run_is_a_problem(folder: Path) -> None:
    async with node_host(folder) as host, host.agent() as agent:
        await host.issuer.deliver(1)
        await host.issuer.report(is_served(1))
        await host.nginx.process.stop()
        shown = await ended("status", "--json", "--config", str(agent.config_path))
        found = json.loads(shown.output)
        assert_documented("wellkeeper-node status", found)
        assert (shown.exit_code, found["nginx"]["way"], found["nginx"]["master"]) == (1, "local", None)
        problem = f"nginx: not reached on this host: {found['nginx']['problem']}"
        assert problem in found["problems"]
        assert problem in (await ended("status", "--config", str(agent.config_path))).output
