"""The start of a daemon, its heartbeat, and the findings of its daily checks, as metrics."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.metrics_page import documented, exported
from tests.promtool import complaints
from wellkeeper_issuer.assembly.all_metrics import counts
from wellkeeper_issuer.status.activity import Activity

AT: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOUND: Final = [{"check": "hooks"}, {"check": "directories"}, {"check": "hooks"}]
HEARTBEAT: Final = {"called_at": AT.isoformat(), "failing_since": None, "error": None}
FAILING: Final = {"called_at": None, "failing_since": AT.isoformat(), "error": "away"}


def samples(checked: dict[str, Any]) -> list[str]:
    text = counts(Activity(), AT, checked)
    assert complaints(text) == ""
    assert exported(text) == documented("Metrics of the daemon")
    lines = [line.removeprefix("wellkeeper_").replace("e+09", "") for line in text.splitlines()]
    return [line for line in lines if not line.startswith(("#", "stage_seconds"))]


@pytest.mark.parametrize(
    ("checked", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"findings": [], "heartbeat": None}, [], id="no heartbeat"),
        pytest.param(
            {"findings": FOUND},
            ['daily_checks_failing{check="directories"} 1.0', 'daily_checks_failing{check="hooks"} 2.0'],
            id="findings",
        ),
        pytest.param({"heartbeat": HEARTBEAT}, ["heartbeat_called_at_seconds 1.7723664"], id="accepted"),
        pytest.param({"heartbeat": FAILING}, ["heartbeat_failing_since_seconds 1.7723664"], id="not accepted"),
    ],
)
def test_daemon_exports_its_start_what_its_checks_found_and_its_heartbeat(
    checked: dict[str, Any], expected: list[str]
) -> None:
    assert samples(checked) == ["daemon_started_at_seconds 1.7723664", *expected]
