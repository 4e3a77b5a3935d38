"""Configurations that nginx rejects: the culprit, what stays installed, and the next pass."""

from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import running_host
from tests.integration.observed import (
    assert_next_pass_only_delivers,
    error_of,
    installed,
    orders,
    outcomes,
    passes_test,
    reloads,
    served,
    served_unverified,
    version,
    workers,
)
from wellkeeper_client import services

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME = "www.example.org"


async def test_certificate_that_breaks_nginx_is_rolled_back_and_the_others_are_delivered(folder: Path) -> None:
    """Name a version instead of live in the site's ssl_certificate_key, which fits no later certificate."""
    async with running_host(folder, {name: [f"{name}.example.org"] for name in ("first", "bad", "last")}) as host:
        before = version(host.issuer, "bad"), await served_unverified(host, "bad.example.org")
        live, pinned = host.issuer.live("bad"), host.issuer.live("bad").resolve()
        config = host.nginx.config_path
        config.write_text(config.read_text().replace(f"{live}/privkey.pem", f"{pinned}/privkey.pem"))
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 1
        assert outcomes(finished) == {"first": "served", "bad": "failed", "last": "served"}, finished
        reported = error_of(finished, "bad")
        assert "key values mismatch" in reported
        assert before[0] in reported
        assert (version(host.issuer, "bad"), await served_unverified(host, "bad.example.org")) == before
        for name in ("first", "last"):
            assert await served(host, f"{name}.example.org") == installed(host.issuer, name)
        assert reloads(host.nginx) == 1


async def test_rolled_back_certificate_is_delivered_without_a_new_order_once_nginx_accepts_it(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        config, live = host.nginx.config_path, host.issuer.live("web")
        original = config.read_text()
        config.write_text(original.replace(f"{live}/privkey.pem", f"{live.resolve()}/privkey.pem"))
        assert (await host.issuer.run("renew")).exit_code == 1
        assert reloads(host.nginx) == 0
        config.write_text(original)
        await assert_next_pass_only_delivers(host, NAME)
        assert orders(host.ca) == 1


async def test_pass_after_the_repair_also_renews_certificates_due_by_then(folder: Path) -> None:
    """Change the identifiers while nginx is broken; one pass with one reload delivers everything."""
    async with running_host(folder, {"web": [NAME]}) as host:
        original = host.nginx.settings
        host.nginx.write(replace(original, in_http="oops;"))
        assert (await host.issuer.run("renew")).exit_code == 1
        host.nginx.write(original)
        host.issuer.configure(replace(host.issuer_settings, certificates={"web": [NAME, "new.example.org"]}))
        finished = await host.issuer.run("renew", "--retry", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert finished.json()["certificates"][0]["identifiers"] == [NAME, "new.example.org"]
        assert reloads(host.nginx) == 1
        assert await served(host, "new.example.org") == installed(host.issuer, "web")


async def test_nginx_whose_new_workers_all_exit_is_reported(folder: Path) -> None:
    """Lower the limit on files so that `nginx -t` and the master succeed, but no worker can start."""
    async with running_host(folder, {"web": [NAME]}) as host:
        config = host.nginx.config_path
        original = config.read_text()
        config.write_text(f"worker_rlimit_nofile 3;\n{original}")
        assert await passes_test(host.nginx)
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        reported = error_of(finished, "web")
        assert reported.startswith("nginx has no workers left and serves nothing: ")
        assert "(24: Too many open files)" in reported
        assert reported.endswith(f"{services.clause('restart', 'nginx')}, then run 'wellkeeper renew' again.")
        assert workers(host.nginx) == frozenset()
        config.write_text(original)
        await assert_next_pass_only_delivers(host, NAME)


async def test_nginx_that_is_not_found_is_reported_before_anything_is_ordered(folder: Path) -> None:
    """Name another pid file; nginx itself keeps running, so that only the check before the order can find it."""
    async with running_host(folder, {"web": [NAME]}) as host:
        host.issuer.configure(replace(host.issuer_settings, nginx_pid_file=folder / "none.pid"))
        finished = await host.issuer.run("renew", "--json")
        assert finished.exit_code == 1
        assert f"cannot find the nginx master: {folder}/none.pid does not exist" in error_of(finished, "web")
        assert orders(host.ca) == 0
        rehearsed = await host.issuer.run("rehearse")
        assert f"nginx: cannot find the nginx master: {folder}/none.pid does not exist" in rehearsed.out + rehearsed.err
        host.issuer.configure(host.issuer_settings)
        assert (await host.issuer.run("renew", "--retry")).exit_code == 0
