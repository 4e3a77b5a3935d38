"""nginx that does not take a configuration: whose fault it is, what stays, and what the next pass has left to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import Host, running_host
from tests.integration.observed import (
    asked,
    error_of,
    installed,
    orders,
    outcomes,
    reconfigure,
    reloads,
    served,
    served_unverified,
    version,
    workers,
)

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME = "www.example.org"
ZONE = "limit_req_zone $binary_remote_addr zone=one:1m rate=1000r/s;"


async def assert_next_pass_only_delivers(host: Host) -> None:
    before = asked(host.ca)
    finished = await host.issuer.run("renew", "--json")
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
    assert list(finished.json()["certificates"][0]["seconds"]) == ["reload", "verify"]
    assert asked(host.ca) == before
    assert await served(host, NAME) == installed(host.issuer, "web")


async def test_fault_elsewhere_is_told_in_nginxs_words_and_nothing_is_rolled_back(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        placeholder, old = version(host.issuer, "web"), workers(host.nginx)
        intact = host.nginx.settings
        (folder / "other.conf").write_text("server { listen 80 listen; }\n")
        host.nginx.write(replace(intact, in_http=f"include {folder}/other.conf;"))
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"})
        told = error_of(finished, "web")
        assert f'invalid parameter "listen" in {folder}/other.conf:1' in told
        assert "not caused by the new certificates" in told
        assert version(host.issuer, "web") != placeholder
        assert (workers(host.nginx), reloads(host.nginx)) == (old, 0)
        state = (await host.issuer.run_well("status")).out
        assert state.startswith("web: installed, nginx not reloaded yet: run renew")
        host.nginx.write(intact)
        await assert_next_pass_only_delivers(host)


async def test_reload_that_is_refused_after_a_passed_test_is_a_failure_with_nginxs_words(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        intact = replace(host.nginx.settings, in_http=ZONE)
        await reconfigure(host.nginx, intact)
        old = workers(host.nginx)
        host.nginx.write(replace(intact, in_http=ZONE.replace("$binary_remote_addr", "$uri")))
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"})
        told = error_of(finished, "web")
        assert "nginx did not take the new configuration" in told
        assert '[emerg] limit_req "one" uses the "$uri" key while previously' in told
        assert workers(host.nginx) == old
        host.nginx.write(intact)
        await assert_next_pass_only_delivers(host)


async def test_certificate_that_breaks_nginx_is_rolled_back_and_the_other_is_delivered(folder: Path) -> None:
    """The site's ssl_certificate_key names one version instead of live: it fits no certificate that follows."""
    async with running_host(folder, {"good": ["good.example.org"], "bad": ["bad.example.org"]}) as host:
        before = version(host.issuer, "bad"), await served_unverified(host, "bad.example.org")
        live, pinned = host.issuer.live("bad"), host.issuer.live("bad").resolve()
        config = host.nginx.config_path
        config.write_text(config.read_text().replace(f"{live}/privkey.pem", f"{pinned}/privkey.pem"))
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"good": "served", "bad": "failed"}), finished
        told = error_of(finished, "bad")
        assert "key values mismatch" in told
        assert before[0] in told
        assert (version(host.issuer, "bad"), await served_unverified(host, "bad.example.org")) == before
        assert await served(host, "good.example.org") == installed(host.issuer, "good")
        assert reloads(host.nginx) == 1


async def test_rolled_back_certificate_is_delivered_without_a_new_order_once_nginx_takes_it(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        config, live = host.nginx.config_path, host.issuer.live("web")
        intact = config.read_text()
        config.write_text(intact.replace(f"{live}/privkey.pem", f"{live.resolve()}/privkey.pem"))
        assert (await host.issuer.run("renew")).exit_code == 1
        assert reloads(host.nginx) == 0
        config.write_text(intact)
        await assert_next_pass_only_delivers(host)
        assert orders(host.ca) == 1


async def test_pass_after_the_repair_renews_what_became_due_meanwhile(folder: Path) -> None:
    """The identifiers in the settings changed while nginx was broken: one pass, one reload."""
    async with running_host(folder, {"web": [NAME]}) as host:
        intact = host.nginx.settings
        host.nginx.write(replace(intact, in_http="oops;"))
        assert (await host.issuer.run("renew")).exit_code == 1
        host.nginx.write(intact)
        host.issuer.configure(replace(host.issuer_settings, certificates={"web": [NAME, "new.example.org"]}))
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert finished.json()["certificates"][0]["identifiers"] == ["new.example.org", NAME]
        assert reloads(host.nginx) == 1
        assert await served(host, "new.example.org") == installed(host.issuer, "web")


async def test_nginx_that_is_not_running_is_told_and_the_certificate_waits_for_it(folder: Path) -> None:
    """The pid file is what tells; nginx itself goes on, for validation needs it."""
    async with running_host(folder, {"web": [NAME]}) as host:
        host.issuer.configure(replace(host.issuer_settings, nginx_pid_file=folder / "none.pid"))
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 1
        assert f"nginx is not running, or {folder}/none.pid is not its pid file" in error_of(finished, "web")
        host.issuer.configure(host.issuer_settings)
        await assert_next_pass_only_delivers(host)
