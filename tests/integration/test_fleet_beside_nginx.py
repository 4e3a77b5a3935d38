"""An nginx on the issuer's own host that is stopped, or ends with a certificate: what two other nodes get."""

from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from tests.integration.observed import error_of, installed, outcomes, workers
from tests.integration.whole_fleets import running_fleet

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME = "www.example.org"
CERTIFICATES = {"web": [NAME]}
NODES = ("web2", "web3")
# Its authorizations stay valid: an nginx that does not run cannot answer another challenge.
REUSING = {"authorizations_reused_percent": 100}


async def test_nodes_get_certificates_at_once_although_the_issuers_own_nginx_is_stopped(folder: Path) -> None:
    async with running_fleet(folder, CERTIFICATES, NODES, **REUSING) as fleet, IssuerDaemon(fleet.host.issuer):
        issuer = fleet.host.issuer
        await issuer.run_well("renew", "web")
        await fleet.host.nginx.process.stop()
        finished = await issuer.run("renew", "web", "--force", "--json")
        assert outcomes(finished) == {"web": "failed"}, finished
        assert "nginx" in error_of(finished, "web")
        for node in fleet.nodes.values():
            await node.until_served(NAME, installed(issuer, "web"))


async def test_nodes_do_not_get_the_certificate_with_which_the_issuers_own_nginx_ended(folder: Path) -> None:
    """Lower the limit on files so that `nginx -t` and the master succeed, but no worker can start."""
    async with (
        running_fleet(folder, CERTIFICATES, NODES, **REUSING) as fleet,
        IssuerDaemon(fleet.host.issuer) as daemon,
    ):
        issuer, nginx = fleet.host.issuer, fleet.host.nginx
        await issuer.run_well("renew", "web")
        first = installed(issuer, "web")
        for node in fleet.nodes.values():
            await node.until_served(NAME, first)
        original = nginx.config_path.read_text()
        nginx.config_path.write_text(f"worker_rlimit_nofile 3;\n{original}")
        finished = await issuer.run("renew", "web", "--force", "--json")
        assert "nginx has no workers left" in error_of(finished, "web")
        assert workers(nginx) == frozenset()
        await nginx.process.stop()
        # Another pass finds it stopped, and knows why.
        failed = await issuer.run("renew", "web", "--retry", "--json")
        assert outcomes(failed) == {"web": "failed"}, failed
        assert "nodes do not get the new version of web for a day" in daemon.log
        for node in fleet.nodes.values():
            assert await node.served(NAME) == first
        nginx.config_path.write_text(original)
        await nginx.process.start(nginx.is_ready)
        await issuer.run_well("renew", "web", "--retry")
        assert installed(issuer, "web") != first
        for node in fleet.nodes.values():
            await node.until_served(NAME, installed(issuer, "web"))
