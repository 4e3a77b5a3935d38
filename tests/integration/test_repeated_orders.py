"""A certificate that is on the disk is delivered; it is never ordered again because `live/` cannot be changed."""

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.fault_proxy import Kind
from stand.faults import answer
from stand.host import Host, running_host
from stand.issuer import Finished, Issuer
from stand.nginx import Site
from stand.processes import PROGRAMS
from tests.integration.full_disk import traced
from tests.integration.observed import error_of, installed, issued, orders, outcomes, served

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"


def can(*argv: str) -> bool:
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


async def run_injected(issuer: Issuer, injected: Sequence[str], *arguments: str) -> Finished:
    """The command, with a kernel that answers so."""
    return await traced(issuer, injected, (str(PROGRAMS / "wellkeeper"), *arguments))


@contextmanager
def immutable(live: Path) -> Iterator[Sequence[str]]:
    assert can("chattr", "+i", str(live))
    try:
        yield ()
    finally:
        assert can("chattr", "-i", str(live))


@contextmanager
def read_only_mount(live: Path) -> Iterator[Sequence[str]]:
    assert can("mount", "--bind", str(live), str(live))
    try:
        assert can("mount", "-o", "remount,bind,ro", str(live))
        yield ()
    finally:
        assert can("umount", str(live))


@contextmanager
def no_links(_: Path) -> Iterator[Sequence[str]]:
    yield "-e", "inject=?symlink,symlinkat:error=EROFS"


Obstacle = Callable[[Path], AbstractContextManager[Sequence[str]]]


def obstacles() -> dict[str, Obstacle]:
    """Those that this user and this file system allow."""
    found: dict[str, Obstacle] = {"the kernel says so": no_links}
    with tempfile.TemporaryDirectory() as folder:
        if can("chattr", "+i", folder) and can("chattr", "-i", folder):
            found["immutable"] = immutable
        if can("mount", "--bind", folder, folder) and can("umount", folder):
            found["a read-only mount"] = read_only_mount
    return found


OBSTACLES: Final = obstacles()


@pytest.mark.parametrize("obstacle", OBSTACLES.values(), ids=OBSTACLES)
async def test_ca_is_not_asked_while_live_cannot_be_changed(folder: Path, obstacle: Obstacle) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        with obstacle(host.issuer.certificates_dir / "live") as injected:
            for arguments in (["--retry"], ["--retry"], ["--force"]):
                finished = await run_injected(host.issuer, injected, "renew", *arguments, "--json")
                assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"})
                assert f"cannot use {host.issuer.certificates_dir}/live" in error_of(finished, "web")
        assert orders(host.ca) == 0
        await host.issuer.run_well("renew", "--retry")
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_version_that_cannot_be_made_live_is_ordered_once_and_delivered_later(folder: Path) -> None:
    """The proof before the order succeeds, and the switch after it does not."""
    async with running_host(folder, {"web": [NAME]}) as host:
        live = host.issuer.certificates_dir / "live"
        injected = ("-P", f"{live}/.tmp-web", "-e", "inject=?rename,renameat,?renameat2:error=EROFS")
        for arguments in (["--retry"], ["--retry"], ["--force"], ["--retry"], ["--force"]):
            finished = await run_injected(host.issuer, injected, "renew", *arguments, "--json")
            assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"})
            assert f"cannot use {live}: Read-only file system" in error_of(finished, "web")
            assert (orders(host.ca), issued(host.ca)) == (1, 1)
        await host.issuer.run_well("renew", "--retry")
        assert (orders(host.ca), issued(host.ca)) == (1, 1)
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_leftover_directory_in_live_is_replaced(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        leftover = host.issuer.certificates_dir / "live/.tmp-web"
        leftover.mkdir()
        (leftover / "file").touch()
        await host.issuer.run_well("renew")
        assert (orders(host.ca), leftover.exists()) == (1, False)
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_name_of_253_characters_is_served(folder: Path) -> None:
    long_name = ".".join(["a" * 63] * 3 + ["b" * 49, "example.org"])
    assert len(long_name) == 253
    async with running_host(folder, {"web": [NAME]}) as host:
        config = host.issuer.config_path
        config.write_text(f'{config.read_text()}[[certificates]]\nidentifiers = ["{long_name}"]\nprofile = "default"\n')
        await host.issuer.run_well("placeholder")
        (name,) = {path.name for path in (host.issuer.certificates_dir / "live").iterdir()} - {"web"}
        settings = host.nginx.settings
        sites = (*settings.sites, Site((long_name,), host.issuer.live(name)))
        host.nginx.write(replace(settings, sites=sites, in_http="server_names_hash_bucket_size 512;"))
        host.nginx.reload()
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"web": "served", name: "served"}, finished
        assert (len(name), await served(host, long_name)) == (240, installed(host.issuer, name))
        assert orders(host.ca) == 2


LOSSES: Final[dict[str, Callable[[Path], object]]] = {
    "the link is lost": lambda live: (live / "web").unlink(),
    "the link dangles": lambda live: point_nowhere(live / "web"),
    "no links, as after a restore": shutil.rmtree,
}


def point_nowhere(link: Path) -> None:
    link.unlink()
    link.symlink_to("../archive/web/20200101T000000Z-deadbeef")


@pytest.mark.parametrize("is_state_lost", [False, True], ids=["state", "no state"])
@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
async def test_lost_link_is_pointed_at_the_newest_version_and_nothing_is_ordered(
    folder: Path, lose: Callable[[Path], object], is_state_lost: bool
) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        for arguments in ([], ["--force"]):
            await host.issuer.run_well("renew", *arguments)
        before, count = installed(host.issuer, "web"), orders(host.ca)
        lose(host.issuer.certificates_dir / "live")
        if is_state_lost:
            forget(host)
        await host.issuer.run_well("renew")
        assert (installed(host.issuer, "web"), orders(host.ca)) == (before, count)
        assert await served(host, NAME) == before


def forget(host: Host) -> None:
    for path in host.issuer.state_dir.glob("state.db*"):
        path.unlink()


async def test_window_in_the_past_for_every_certificate_brings_one_renewal_forward(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}, has_proxy=True, nonces_rejected_percent=0) as host:
        window = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
        always = answer(200, json.dumps({"suggestedWindow": window}), "application/json")
        assert host.proxy is not None
        host.proxy.stage(Kind.RENEWAL_INFO, always, times=1000)
        made = []
        for _ in range(5):
            await host.issuer.run_well("renew")
            made.append(orders(host.ca))
        assert made == [1, 2, 2, 2, 2]
        assert await served(host, NAME) == installed(host.issuer, "web")
        assert "the CA suggests another early renewal, which waits until" in (await host.issuer.run("why", "web")).out
        async with IssuerDaemon(host.issuer) as daemon:
            assert (await daemon.end(signal.SIGTERM)).exit_code == 0
        assert orders(host.ca) == 2
