"""Files that nginx uses are neither deleted with their certificate nor removed as old versions."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from stand.issuer import Finished
from stand.nginx import Site
from stand.ports import free_port
from tests.integration.observed import installed, one_line, passes_test, reconfigure, served

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME: Final = "www.example.org"
SHOP: Final = "shop.example.org"


async def add_shop(host: Host) -> None:
    """A certificate with a file of its own in issuer.d."""
    await host.issuer.run_well("certificate", "add", SHOP, "--no-renew")


async def serve_shop(host: Host, live: Path, in_http: str = "") -> None:
    sites = (*host.nginx.settings.sites, Site((SHOP,), live))
    await reconfigure(host.nginx, replace(host.nginx.settings, sites=sites, in_http=in_http))


async def remove(host: Host) -> Finished:
    return await host.issuer.run("certificate", "remove", SHOP, "--yes", "--delete-files")


def link(host: Host, folder: Path) -> Path:
    path = folder / "ssl"
    path.symlink_to(host.issuer.live(SHOP))
    return path


def linked_files(host: Host, folder: Path) -> Path:
    path = folder / "ssl"
    path.mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (path / name).symlink_to(host.issuer.live(SHOP) / name)
    return path


def linked_root(host: Host, folder: Path) -> Path:
    path = folder / "certs"
    path.symlink_to(host.issuer.certificates_dir)
    return path / "live" / SHOP


FORMS: Final[dict[str, Callable[[Host, Path], Path]]] = {
    "live path": lambda host, _: host.issuer.live(SHOP),
    "archive path": lambda host, _: host.issuer.live(SHOP).resolve(),
    "link": link,
    "links to the files": linked_files,
    "link to everything": linked_root,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_pair_that_nginx_names_is_not_deleted(folder: Path, form: Callable[[Host, Path], Path]) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await add_shop(host)
        await serve_shop(host, form(host, folder))
        finished = await remove(host)
        assert finished.exit_code == 1, finished
        reported = one_line(finished.err)
        assert f"cannot delete the files of {SHOP}; nothing was changed" in reported
        assert f"nginx's configuration names them in {host.nginx.config_path}:" in reported
        assert await passes_test(host.nginx)
        assert (host.issuer.live(SHOP) / "privkey.pem").exists()
        assert SHOP in (await host.issuer.run_well("list")).out


async def test_pair_that_is_served_from_a_copy_is_not_deleted(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await add_shop(host)
        await serve_shop(host, Path(shutil.copytree(host.issuer.live(SHOP), folder / "copy")))
        finished = await remove(host)
        assert finished.exit_code == 1, finished
        assert "nginx serves the certificate with serial" in one_line(finished.err)
        assert (host.issuer.live(SHOP) / "privkey.pem").exists()


async def serve_only_at(host: Host, port: int, name: str, live: Path) -> None:
    """Add a server block, and load it; nothing on the usual port serves this certificate."""
    block = f"server {{ listen 127.0.0.1:{port} ssl; server_name {name};"
    files = f"ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem; }}"
    sites = tuple(one for one in host.nginx.settings.sites if name not in one.names)
    await reconfigure(host.nginx, replace(host.nginx.settings, sites=sites, in_http=f"{block} {files}"))


@pytest.mark.parametrize("form", ["link", "copy", "former link"])
async def test_pair_that_is_served_only_on_another_port_is_not_deleted(folder: Path, form: str) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await add_shop(host)
        live, path = host.issuer.live(SHOP), folder / "used"
        if form == "copy":
            shutil.copytree(live, path)
        else:
            path.symlink_to(live)
        await serve_only_at(host, free_port(), SHOP, path)
        if form == "former link":
            path.unlink()
            path.symlink_to(host.issuer.live("web"))
        finished = await remove(host)
        assert finished.exit_code == 1, finished
        why = "nginx's configuration names them in" if form == "link" else "nginx serves the certificate with serial"
        assert why in one_line(finished.err)
        assert (live / "privkey.pem").exists()
        assert await passes_test(host.nginx)


async def test_pair_that_is_served_at_an_address_in_its_settings_is_not_deleted(folder: Path) -> None:
    """Only the settings know this address: nginx's configuration no longer has it."""
    async with running_host(folder, {"web": [NAME]}) as host:
        await add_shop(host)
        port, before = free_port(), host.nginx.settings
        await serve_only_at(host, port, SHOP, Path(shutil.copytree(host.issuer.live(SHOP), folder / "copy")))
        host.nginx.write(before)
        (drop_in,) = host.issuer.config_path.parent.glob("issuer.d/*.toml")
        drop_in.write_text(f'{drop_in.read_text()}https_addresses = ["127.0.0.1:{port}"]\n')
        finished = await remove(host)
        assert finished.exit_code == 1, finished
        assert "nginx serves the certificate with serial" in one_line(finished.err)
        assert (host.issuer.live(SHOP) / "privkey.pem").exists()


async def test_pair_in_a_path_with_variables_is_not_deleted(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await add_shop(host)
        await serve_shop(
            host, host.issuer.certificates_dir / "live/$lineage", f"map $host $lineage {{ default {SHOP}; }}"
        )
        assert (await remove(host)).exit_code == 1
        assert (host.issuer.live(SHOP) / "privkey.pem").exists()


@pytest.mark.parametrize("has_daemon", [False, True], ids=["command", "daemon"])
async def test_files_move_back_when_nginx_does_not_pass_its_test_without_them(folder: Path, has_daemon: bool) -> None:
    """Here `-T` does not show what `-t` needs."""
    async with running_host(folder, {"web": [NAME]}) as host:
        await add_shop(host)
        key, wrapper = host.issuer.live(SHOP) / "privkey.pem", folder / "nginx-of-others"
        real = " ".join(host.nginx.argv())
        wrapper.write_text(
            f'#!/bin/sh\ncase "$1" in -t) [ -e {key} ] || {{ echo "[emerg] no key"; exit 1; }};; esac\n'
            f'exec {real} "$@"\n'
        )
        wrapper.chmod(0o755)
        path = host.issuer.config_path
        text = re.sub("^command = .*$", f'command = ["{wrapper}"]', path.read_text(), flags=re.MULTILINE)
        path.write_text(text)
        if has_daemon:
            async with IssuerDaemon(host.issuer):
                finished = await remove(host)
        else:
            finished = await remove(host)
        assert finished.exit_code == 1, finished
        assert "'nginx -t' does not pass without them: [emerg] no key" in one_line(finished.err)
        assert key.exists()
        assert SHOP in (await host.issuer.run_well("list")).out


@pytest.mark.parametrize("has_daemon", [False, True], ids=["command", "daemon"])
async def test_files_that_nginx_does_not_use_are_deleted(folder: Path, has_daemon: bool) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await add_shop(host)
        if has_daemon:
            async with IssuerDaemon(host.issuer):
                finished = await remove(host)
        else:
            finished = await remove(host)
        assert finished.exit_code == 0, finished
        left = [path.name for part in ("live", "archive") for path in (host.issuer.certificates_dir / part).iterdir()]
        assert left == ["web", "web"]
        assert await passes_test(host.nginx)


async def test_version_that_nginx_names_in_the_archive_outlives_many_renewals(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        pinned, leaf = host.issuer.live("web").resolve(), installed(host.issuer, "web")
        (site,) = host.nginx.settings.sites
        await reconfigure(host.nginx, replace(host.nginx.settings, sites=(replace(site, live=pinned),)))
        for _ in range(7):
            await host.issuer.run("renew", "--force")
        assert (pinned / "privkey.pem").exists()
        assert await passes_test(host.nginx)
        assert await served(host, NAME) == leaf
        assert len(list((host.issuer.certificates_dir / "archive/web").iterdir())) == 6


async def test_version_that_is_served_from_a_copy_outlives_many_renewals(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        first = host.issuer.live("web").resolve()
        copy = Path(shutil.copytree(first, folder / "copy"))
        (site,) = host.nginx.settings.sites
        await reconfigure(host.nginx, replace(host.nginx.settings, sites=(replace(site, live=copy),)))
        for _ in range(7):
            await host.issuer.run("renew", "--force")
        assert (first / "privkey.pem").exists()
        assert len(list((host.issuer.certificates_dir / "archive/web").iterdir())) == 6


@pytest.mark.parametrize("form", ["link", "copy"])
async def test_version_that_is_served_only_on_another_port_outlives_many_renewals(folder: Path, form: str) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        first, path = host.issuer.live("web").resolve(), folder / "used"
        if form == "copy":
            shutil.copytree(first, path)
        else:
            path.symlink_to(first)
        await serve_only_at(host, free_port(), NAME, path)
        for _ in range(7):
            await host.issuer.run("renew", "--force")
        assert (first / "privkey.pem").exists()
        assert await passes_test(host.nginx)
        assert len(list((host.issuer.certificates_dir / "archive/web").iterdir())) == 6


async def test_versions_that_nginx_does_not_use_are_removed_except_the_last_five(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        for _ in range(7):
            await host.issuer.run_well("renew", "--force")
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert len(list((host.issuer.certificates_dir / "archive/web").iterdir())) == 5
