"""SIGKILL after each stage and at random moments of passes over several certificates: the next pass resumes.

`--kills 200` tries that many random moments, 24 by default, in portions that can run in parallel.
"""

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from tests.integration.kill_rounds import Round, begin
from tests.integration.live_watch import LiveWatch
from tests.integration.observed import events, installed, journal, served, tokens
from tests.integration.under_way import renewing

pytestmark = pytest.mark.integration

CERTIFICATES: Final = {
    "a": ["a.example.org"],
    "b": ["b.example.org", "bb.example.org"],
    "c": ["c.example.org"],
}
PORTIONS: Final = 4
# From before the journal is opened to after the last handshake; a whole pass takes 1.5 to 2 s here.
EARLIEST_SECONDS: Final = 0.3
LATEST_SECONDS: Final = 2.0
MOST_IN_A_ROW: Final = 4
STAGES: Final = ("order", "publish", "validate", "finalize", "install", "reload", "verify")


async def kill_after(round_: Round, seconds: float) -> bool:
    """Kill a pass at that moment; return False if it had ended before."""
    async with renewing(round_.host.issuer) as run:
        reading = asyncio.ensure_future(run.finish())
        await asyncio.wait([reading], timeout=seconds)
        with contextlib.suppress(ProcessLookupError):
            run.process.send_signal(signal.SIGKILL)
        finished = await reading
    round_.note([json.loads(line) for line in finished.err.splitlines() if line.startswith("{")])
    return finished.exit_code == -signal.SIGKILL


async def kill_at(round_: Round, stage: str) -> None:
    """Kill a pass as soon as the first certificate has finished this stage (all share the reload)."""
    async with renewing(round_.host.issuer) as run:
        await run.until(stage, "finished", None)
        finished = await run.end(signal.SIGKILL)
    assert finished.exit_code == -signal.SIGKILL
    round_.note([json.loads(line) for line in finished.err.splitlines() if line.startswith("{")])


async def finish_round(round_: Round) -> set[str]:
    """Run an undisturbed pass: one certificate per name, and one order each except for orders never recorded.

    Return those orders.
    """
    host = round_.host
    finished = await host.issuer.run("renew", "--log-format", "json")
    assert finished.exit_code == 0, finished
    round_.note([json.loads(line) for line in finished.err.splitlines()])
    lost = round_.orders() - round_.known_orders
    assert round_.issued() == sorted(round_.known_orders), finished
    assert len(round_.known_orders) == len(CERTIFICATES), (round_.orders(), lost, finished)
    for name, identifiers in CERTIFICATES.items():
        for identifier in identifiers:
            assert await served(host, identifier) == installed(host.issuer, name)
    assert journal(host.issuer)["attempts"] == []
    assert await tokens(host.responder) == 0
    return lost


async def has_nothing_to_do(host: Host) -> bool:
    again = await host.issuer.run("renew", "--log-format", "json")
    return (again.exit_code, events(again)) == (0, [])


async def test_pass_killed_after_any_stage_is_resumed(folder: Path) -> None:
    async with running_host(folder, CERTIFICATES) as host:
        with LiveWatch(host.issuer.certificates_dir, list(CERTIFICATES)) as watch:
            for stage in STAGES:
                round_ = await begin(host, CERTIFICATES)
                await kill_at(round_, stage)
                # The other certificates may be between the CA's reply and its record, in the first stage.
                lost = await finish_round(round_)
                assert lost == set() or stage in {"order", "publish"}, stage
            assert await has_nothing_to_do(host)
    assert watch.faults == []
    assert watch.pair_count > len(CERTIFICATES) * len(STAGES)  # it may miss a pair that was soon replaced


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("portion", range(PORTIONS))
async def test_pass_killed_at_any_moment_is_resumed(
    folder: Path, portion: int, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(f"kills {portion}")  # noqa: S311 - to be repeated, not to be secret
    wanted, killed, lost = -(-int(pytestconfig.getoption("kills")) // PORTIONS), 0, 0
    async with running_host(folder, CERTIFICATES) as host:
        with LiveWatch(host.issuer.certificates_dir, list(CERTIFICATES)) as watch:
            while killed < wanted:
                round_ = await begin(host, CERTIFICATES)
                for _ in range(min(chance.randint(1, MOST_IN_A_ROW), wanted - killed)):
                    killed += await kill_after(round_, chance.uniform(EARLIEST_SECONDS, LATEST_SECONDS))
                lost += len(await finish_round(round_))
            assert await has_nothing_to_do(host)
    assert watch.faults == []
    record_property("kills", killed)
    record_property("orders never recorded", lost)
