"""A removal or addition that is interrupted while the daemon runs changes nothing, and can be repeated."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

SHOP: Final = "shop.example.org"
REMOVE: Final = ("certificate", "remove", SHOP, "--yes", "--delete-files")


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[Host]:
    """Yield a host whose daemon manages a second certificate, and whose commands call nginx by a script."""
    async with running_host(folder, {"web": ["www.example.org"]}) as running:
        await running.issuer.run_well("certificate", "add", SHOP, "--no-renew")
        write_wrapper(running, folder, ":")
        path, command = running.issuer.config_path, f'command = ["{folder}/asked-nginx"]'
        path.write_text(re.sub("^command = .*$", command, path.read_text(), flags=re.MULTILINE))
        async with IssuerDaemon(running.issuer):
            yield running


def write_wrapper(host: Host, folder: Path, before: str) -> None:
    """Make nginx's commands run these words of the shell first."""
    unfinished = folder / "asked-nginx.tmp"
    unfinished.write_text(f'#!/bin/sh\n{before}\nexec {" ".join(host.nginx.argv())} "$@"\n')
    unfinished.chmod(0o755)
    unfinished.replace(folder / "asked-nginx")


def drop_in(host: Host) -> Path:
    return host.issuer.config_path.parent / f"issuer.d/{SHOP}.toml"


async def assert_complete(host: Host, text: str) -> None:
    """Assert that nothing was changed, also in the daemon, and that the same command then does its work."""
    assert drop_in(host).read_text() == text
    assert (host.issuer.live(SHOP) / "privkey.pem").exists()
    assert SHOP in (await host.issuer.run_well("list")).out
    await host.issuer.run_well(*REMOVE)
    assert not drop_in(host).exists()
    assert not host.issuer.live(SHOP).exists()


async def test_settings_that_the_daemon_refuses_stop_the_removal(host: Host, folder: Path) -> None:
    """They change after the command read them."""
    text, bad = drop_in(host).read_text(), drop_in(host).with_name("bad.toml")
    write_wrapper(host, folder, f"echo 'bogus = 1' > {bad}")
    refused = await host.issuer.run(*REMOVE)
    assert refused.exit_code != 0
    assert "'bogus' does not belong here" in refused.err
    write_wrapper(host, folder, ":")
    bad.unlink()
    await assert_complete(host, text)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupted_removal_changes_nothing(
    host: Host, folder: Path, number: signal.Signals, exit_code: int
) -> None:
    """The signal arrives when the drop-in is gone and the files are away."""
    text, begun = drop_in(host).read_text(), folder / "begun"
    write_wrapper(host, folder, f"[ -e {host.issuer.live(SHOP)} ] || {{ echo > {begun}; exec sleep 60; }}")
    os.mkfifo(begun)
    process = await host.issuer.start(*REMOVE)
    await asyncio.to_thread(begun.read_text)
    assert not drop_in(host).exists()
    process.send_signal(number)
    await process.communicate()
    assert process.returncode == exit_code
    write_wrapper(host, folder, ":")
    await assert_complete(host, text)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupted_addition_changes_nothing(folder: Path, number: signal.Signals, exit_code: int) -> None:
    """The signal arrives while the daemon does not answer; the command takes the drop-in back before it does."""
    async with running_host(folder, {"web": ["www.example.org"]}) as host, IssuerDaemon(host.issuer) as daemon:
        os.kill(daemon.pid, signal.SIGSTOP)
        process = await host.issuer.start("certificate", "add", SHOP)
        async with asyncio.timeout(150):
            while not (host.issuer.live(SHOP).exists() and drop_in(host).exists()):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        process.send_signal(number)
        async with asyncio.timeout(60):
            while drop_in(host).exists():  # noqa: ASYNC110 - an answer that the command gets before the signal would win
                await asyncio.sleep(0.02)
        os.kill(daemon.pid, signal.SIGCONT)
        await process.communicate()
        assert process.returncode == exit_code
        assert not drop_in(host).exists()
        assert SHOP not in (await host.issuer.run_well("status")).out
        await host.issuer.run_well("certificate", "add", SHOP)
