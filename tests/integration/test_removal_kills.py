"""A removal that is killed at any of its steps costs no order, and can be repeated."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from stand.issuer import Finished
from stand.processes import search_path
from tests.integration.observed import orders, passes_test, version

pytestmark = pytest.mark.integration

SHOP: Final = "shop.example.org"
REMOVE: Final = ("certificate", "remove", SHOP, "--yes", "--delete-files")

# Ends like a power cut before the given change of a directory, if there are so many: renames, and removed files and
# directories except those below a directory that is removed (which have a descriptor).
KILLED: Final = """
import os, signal, sys
left = int(sys.argv.pop(1))

def count(event, arguments):
    global left
    if event == "os.rename" or event in {"os.remove", "os.rmdir"} and arguments[-1] == -1:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
from wellkeeper_issuer.__main__ import main
main()
"""


async def run_killed(host: Host, change: int) -> Finished:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(change), *REMOVE),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "WELLKEEPER_CONFIG": str(host.issuer.config_path)},
    )
    out, err = await process.communicate()
    return Finished(await process.wait(), out.decode(), err.decode())


def left_of(host: Host, name: str) -> list[Path]:
    return [path for part in ("live", "archive") for path in (host.issuer.certificates_dir / part).glob(f"*{name}*")]


async def test_removal_killed_at_any_step_costs_no_order_and_can_be_repeated(folder: Path) -> None:
    async with running_host(folder, {"web": ["www.example.org"]}) as host:
        drop_in = host.issuer.config_path.parent / f"issuer.d/{SHOP}.toml"
        for change in range(1, 100):
            if not drop_in.exists():
                await host.issuer.run_well("certificate", "add", SHOP, "--no-renew")
                await host.issuer.run_well("renew", SHOP)
            before, placed = version(host.issuer, SHOP), orders(host.ca)
            finished = await run_killed(host, change)
            assert finished.exit_code in {0, -signal.SIGKILL}, finished
            if drop_in.exists():
                await host.issuer.run_well("renew", SHOP)
            assert orders(host.ca) == placed
            if drop_in.exists():
                assert version(host.issuer, SHOP) == before
                assert await passes_test(host.nginx)
            elif left_of(host, SHOP):
                await host.issuer.run_well(*REMOVE)
            assert drop_in.exists() or left_of(host, SHOP) == []
            if finished.exit_code == 0:
                break
        assert change > len(("live", "archive", "drop-in"))
