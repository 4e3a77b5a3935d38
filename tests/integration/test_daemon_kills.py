"""SIGKILL at random moments of a daemon with a hundred certificates, restarted each time: none is lost or issued twice.

`--kills 200` tries a quarter as many random moments, 6 by default.
"""

import asyncio
import itertools
import json
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from stand.issuer import Finished
from tests.integration.kill_rounds import Round, begin
from tests.integration.live_watch import LiveWatch
from tests.integration.observed import installed, journal, served

pytestmark = pytest.mark.integration

CERTIFICATES: Final = {f"n{number}": [f"n{number}.example.org"] for number in range(100)}
PART: Final = 4
MOST_IN_A_ROW: Final = 6
# From just started to the last reload; an undisturbed pass takes about ten seconds here.
LATEST_SECONDS: Final = 7.0
END_SECONDS: Final = 600.0
# Watching this many links without a pause would keep a core busy.
WATCH_PAUSE_SECONDS: Final = 0.05


def note(round_: Round, finished: Finished) -> None:
    """Add the daemon's log; a kill may cut the last line."""
    assert "Traceback" not in finished.err, finished
    lines = (line for line in finished.err.splitlines() if line.startswith("{") and line[-1] == "}")
    round_.note([json.loads(line) for line in lines])


async def kill_after(round_: Round, seconds: float) -> None:
    async with IssuerDaemon(round_.host.issuer) as daemon:
        await asyncio.sleep(seconds)
        finished = await daemon.end(signal.SIGKILL)
    assert finished.exit_code == -signal.SIGKILL, finished
    note(round_, finished)


async def all_served(host: Host) -> None:
    """Wait until `status` reports all certificates as served."""
    for _ in itertools.repeat(None):
        if (await host.issuer.run("status", "--check")).exit_code == 0:
            return
        await asyncio.sleep(0.5)


async def finish_round(round_: Round) -> set[str]:
    """Run an undisturbed daemon: one certificate per name, and one order each except for orders never recorded.

    Return those orders.
    """
    host = round_.host
    async with IssuerDaemon(host.issuer) as daemon:
        async with asyncio.timeout(END_SECONDS):
            await all_served(host)
        finished = await daemon.end(signal.SIGTERM)
    assert finished.exit_code == 0, finished
    note(round_, finished)
    assert round_.issued() == sorted(round_.known_orders)
    assert len(round_.known_orders) == len(CERTIFICATES)
    for name, identifiers in CERTIFICATES.items():
        assert await served(host, identifiers[0]) == installed(host.issuer, name)
    assert journal(host.issuer)["attempts"] == []
    return round_.orders() - round_.known_orders


@pytest.mark.timeout(3600)
async def test_daemon_killed_at_any_moment_resumes_with_a_hundred_certificates(
    folder: Path, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random("daemon kills")  # noqa: S311 - to be repeated, not to be secret
    wanted, killed, lost = -(-int(pytestconfig.getoption("kills")) // PART), 0, 0
    async with running_host(folder, CERTIFICATES) as host:
        quick = replace(host.issuer_settings, reload_interval_seconds=0.0, more=("orders_per_second = 1000.0",))
        host.issuer.configure(quick)
        with LiveWatch(host.issuer.certificates_dir, list(CERTIFICATES), WATCH_PAUSE_SECONDS) as watch:
            while killed < wanted:
                round_ = await begin(host, CERTIFICATES)
                for _ in range(min(MOST_IN_A_ROW, wanted - killed)):
                    await kill_after(round_, chance.uniform(0, LATEST_SECONDS))
                    killed += 1
                lost += len(await finish_round(round_))
    assert watch.faults == []
    record_property("kills", killed)
    record_property("orders never recorded", lost)
