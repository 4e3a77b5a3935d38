"""Problems that the read-back finds before the CA is asked: server block, socket, redirect; and ignoring it."""

from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import Host, running_host
from stand.nginx import SNIPPETS
from tests.integration.observed import asked, error_of, installed, outcomes, reconfigure, reload, served, tokens
from tests.responder.http import ask
from wellkeeper_client import wire
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

NAME = "www.example.org"


async def refused(host: Host) -> str:
    """Run a pass that must fail before validation and leave nothing published; return its error."""
    finished = await host.issuer.run("renew", "--json")
    assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
    assert asked(host.ca, "/chalZ") == 0
    assert await tokens(host.responder) == 0
    reported = error_of(finished, "web")
    address = "{}:{}".format(*host.http)
    assert "the CA was not asked, because " in reported
    assert f"node 'local' at {address}: http://{NAME}{wire.CHALLENGE_PREFIX}" in reported
    return reported


async def test_server_block_without_the_snippet_is_reported(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        config = host.nginx.config_path
        text = config.read_text().replace(f"include {SNIPPETS}/challenge.conf;", "")
        config.write_text(text.replace('return 200 "hello\\n";', "root /nonexistent;"))
        await reload(host.nginx)
        waiting = await host.issuer.run("renew", "--json")
        assert (waiting.exit_code, outcomes(waiting)) == (1, {"web": "waiting"})
        assert "nginx does not answer challenges yet: " in waiting.json()["certificates"][0]["reason"]
        forced = await host.issuer.run("renew", "--force", "--json")
        assert (forced.exit_code, outcomes(forced)) == (1, {"web": "failed"})
        reported = error_of(forced, "web")
        assert f"gave HTTP 404: no server block on port {host.http[1]} has the name {NAME}, and the default" in reported
        assert "does not include challenge.conf: 'location /' at " in reported
        assert f"Add 'include snippets/wellkeeper/challenge.conf;' after {config}:" in reported


async def test_socket_not_accessible_to_nginxs_workers_is_reported(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        host.responder.public_socket.chmod(0)
        reported = await refused(host)
        assert "gave HTTP 404: nginx cannot reach the responder's socket" in reported
        assert "nginx's workers may open it" in reported
        assert "Permission denied" in host.nginx.errors()
        host.responder.public_socket.chmod(0o666)
        assert (await host.issuer.run("renew", "--retry")).exit_code == 0


async def test_redirect_to_https_is_followed_on_the_same_node(folder: Path) -> None:
    """Follow it in the read-back only, since the CA would need a real port 443 here."""
    async with running_host(folder, {"web": [NAME]}) as host:
        redirect = (
            "set $asked $scheme$http_wellkeeper_read_back;"
            " if ($asked = http1) { return 301 https://$host$request_uri; }"
        )
        await reconfigure(host.nginx, replace(host.nginx.settings, in_server=redirect))
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 0, finished
        reply = await ask(UnixAddress(host.responder.control_socket), "GET", f"{wire.FETCHES_PATH}?after=0&wait=0")
        # The check before the order, and the read-back.
        assert [one["is_read_back"] for one in reply.json()["fetches"]].count(True) == 2
        assert '" 301 ' in (host.nginx.error_log.parent / "access.log").read_text()
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_failed_advisory_read_back_is_reported_and_the_ca_still_asked(folder: Path) -> None:
    """Configure a dead address for a working nginx, as behind a NAT without loopback."""
    async with running_host(folder, {"web": [NAME]}) as host:
        (node,) = host.issuer_settings.nodes
        dead = replace(node, http_address=("127.0.0.77", host.http[1]))
        advisory = replace(host.issuer_settings, nodes=(dead,), more=('read_back = "advisory"',))
        host.issuer.configure(advisory)
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 0, finished
        assert (
            "WARNING: the read-back failed, the CA is still asked (read_back = advisory): node 'local'" in finished.err
        )
        assert await served(host, NAME) == installed(host.issuer, "web")
