"""join waits until the agent has tried the first certificates."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from wellkeeper_node.agent.arrival import has_arrived_within
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report
from wellkeeper_node.agent.shown import Shown, StatusFile

SERVED = CertificateReport(1, "ab" * 32, CertificateState.SERVED)
WAITING = CertificateReport(1, "ab" * 32, CertificateState.WAITING)


@pytest.mark.parametrize(
    ("certificates", "seconds", "arrives"),
    [
        pytest.param({"web": SERVED}, 1, True, id="all tried"),
        pytest.param({"web": SERVED}, -1, False, id="report of an earlier agent"),
        pytest.param({"web": SERVED, "mail": WAITING}, 1, False, id="one is waiting"),
        pytest.param({}, 1, False, id="none yet"),
    ],
)
async def test_certificates_that_were_tried_have_arrived(
    tmp_path: Path, clock: FakeClock, certificates: dict[str, CertificateReport], seconds: float, *, arrives: bool
) -> None:
    status, since = StatusFile("web2", tmp_path), clock.now()
    at = (since + timedelta(seconds=seconds)).timestamp()
    await status.write(Shown(Report("1", at, 1, certificates=certificates), {}))
    assert await has_arrived_within(status, since, 5, clock) is arrives


async def test_agent_that_never_reports_is_waited_for_only_so_long(tmp_path: Path, clock: FakeClock) -> None:
    before = clock.monotonic()
    assert not await has_arrived_within(StatusFile("web2", tmp_path), clock.now(), 5, clock)
    assert clock.monotonic() - before == pytest.approx(5, abs=0.2)
