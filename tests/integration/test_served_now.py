"""Judging by what is on the wire: another pair, a copy, an older version, and a key that workers may no longer read."""

import grp
import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from tests.integration.observed import error_of, installed, outcomes, reload, served, version

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME: Final = "www.example.org"


def forget_check(host: Host) -> None:
    """Make the last look at nginx as old as the check interval."""
    with sqlite3.connect(host.issuer.state_dir / "state.db") as connection:
        connection.execute("UPDATE checks SET at = at - 43200")
    connection.close()


def use(host: Host, chain: Path | str, key: Path | str) -> None:
    """Let nginx read these files for its only site."""
    host.nginx.write(host.nginx.settings)
    path = host.nginx.config_path
    live = host.issuer.live("web")
    text = path.read_text().replace(f"{live}/fullchain.pem", str(chain)).replace(f"{live}/privkey.pem", str(key))
    path.write_text(text)


def copy_of(host: Host, folder: Path) -> tuple[Path, Path]:
    """Copy what is live, as a deploy script may."""
    copies = folder / "chain-copy.pem", folder / "key-copy.pem"
    for name, path in zip(("fullchain.pem", "privkey.pem"), copies, strict=True):
        path.write_bytes((host.issuer.live("web") / name).read_bytes())
    return copies


async def assert_fails_until(host: Host, words: str) -> None:
    """Check, rehearsal and the next pass report it."""
    checked = await host.issuer.run("status", "--check")
    assert checked.exit_code == 1
    assert words in checked.err
    rehearsed = await host.issuer.run("rehearse")
    assert rehearsed.exit_code == 1
    finished = await host.issuer.run("renew", "--retry", "--json")
    assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
    assert words in error_of(finished, "web")


async def test_another_pair_that_nginx_was_reloaded_with_is_reported_within_the_interval(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME], "other": ["other.example.org"]}) as host:
        await host.issuer.run_well("renew")
        before = version(host.issuer, "web")
        other = host.issuer.live("other")
        use(host, f"{other}/fullchain.pem", f"{other}/privkey.pem")
        await reload(host.nginx)
        lost = "nginx no longer serves the certificate of web"
        for command in ("status --check", "rehearse", "rehearse web", "renew --dry-run"):
            looked = await host.issuer.run(*command.split())
            assert looked.exit_code == 1, looked
            assert lost in looked.out + looked.err
        forget_check(host)
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"web": "failed", "other": "unchanged"}, finished
        assert lost in error_of(finished, "web")
        host.nginx.write(host.nginx.settings)
        await reload(host.nginx)
        finished = await host.issuer.run("renew", "--retry", "--json")
        assert (finished.exit_code, outcomes(finished)["web"]) == (0, "served"), finished
        assert version(host.issuer, "web") == before
        await host.issuer.run_well("status", "--check")


async def test_copy_that_nginx_reads_is_reported_by_the_renewal_that_it_misses(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        use(host, *copy_of(host, folder))
        await reload(host.nginx)
        await host.issuer.run_well("status", "--check")
        finished = await host.issuer.run("renew", "--force", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        assert "not at a copy or one version" in error_of(finished, "web")
        (shown,) = (await host.issuer.run_well("status", "--json")).json()["certificates"]
        assert shown["state"] == "not_served"
        assert shown["served_not_after"] is not None
        await assert_fails_until(host, "does not serve the installed certificate")


async def test_version_of_the_archive_that_nginx_names_is_reported(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        pinned = host.issuer.live("web").resolve()
        use(host, pinned / "fullchain.pem", pinned / "privkey.pem")
        await reload(host.nginx)
        finished = await host.issuer.run("renew", "--force", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        assert "does not serve the installed certificate" in error_of(finished, "web")


def workers_group(host: Host) -> int:
    """Return the group of nginx's workers, which is ours unless root runs the test."""
    _, _, user = host.nginx.config_path.read_text().partition("user ")
    return grp.getgrnam(user.partition(";")[0].split()[-1]).gr_gid if os.geteuid() == 0 else os.getegid()


def let_workers_read(host: Host) -> None:
    """Let the group of the workers read keys, as an administrator does once."""
    group = workers_group(host)
    for path in (host.issuer.certificates_dir, *host.issuer.certificates_dir.rglob("*")):
        if not path.is_symlink():
            os.chown(path, -1, group)
            path.chmod(path.stat().st_mode | (0o050 if path.is_dir() else 0o040))


def use_variables(host: Host) -> None:
    root = host.issuer.certificates_dir / "live"
    settings = host.nginx.settings
    host.nginx.write(replace(settings, in_http='map $ssl_server_name $lineage { default "web"; }'))
    path = host.nginx.config_path
    path.write_text(path.read_text().replace(f"{root}/web/", f"{root}/$lineage/"))


async def test_renewal_keeps_keys_readable_for_workers_that_read_them(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        let_workers_read(host)
        use_variables(host)
        await reload(host.nginx)
        assert await served(host, NAME) == installed(host.issuer, "web")
        finished = await host.issuer.run("renew", "--force", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert await served(host, NAME) == installed(host.issuer, "web")


@pytest.mark.root  # workers of others run as the issuer's user
async def test_version_that_workers_may_not_read_is_left_for_the_previous_one_once(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        deployed = folder / "deployed"
        hook = f"hooks.deploy = {json.dumps(['sh', '-c', f'date >> {deployed}'])}"
        host.issuer.configure(replace(host.issuer_settings, more=(hook,)))
        await host.issuer.run_well("renew")
        let_workers_read(host)
        use_variables(host)
        await reload(host.nginx)
        archive = host.issuer.certificates_dir / "archive/web"
        before, hooks, versions = version(host.issuer, "web"), deployed.read_text(), set(archive.iterdir())
        # Modes are taken over from here; the served key stays readable.
        config = host.issuer.config_path
        config.write_text(f'certificates_group = "root"\n{config.read_text()}')
        finished = await host.issuer.run("renew", "--force", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        assert f"so {before} is live again" in error_of(finished, "web")
        assert version(host.issuer, "web") == before
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert deployed.read_text() == hooks
        (newer,) = set(archive.iterdir()) - versions  # versions of the same second sort at random
        let_workers_read(host)
        finished = await host.issuer.run("renew", "--retry", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert version(host.issuer, "web") == newer.name
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert deployed.read_text() != hooks
