"""The counts of a daemon, as metrics."""

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from tests.fakes_obtain import FakeProgress
from tests.issuer.outside.states import NOW
from tests.metrics_page import documented, exported
from tests.promtool import complaints
from wellkeeper_issuer.assembly import all_metrics
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_issuer.status.activity import Activity, CountedPasses, CountedProgress
from wellkeeper_node.model import ERROR_PREFIX, Problem


class _Passes:
    """Passes with these reports."""

    def __init__(self, reports: list[Report]) -> None:
        self._reports = reports

    async def run(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
        assert (lineages, mode) == ([], Mode.RETRY)
        return self._reports

    def slot(self, _name: str) -> AbstractAsyncContextManager[None]:
        return nullcontext()


def counts(activity: Activity) -> str:
    return all_metrics.counts(activity, NOW, {})


def failed(error: Exception) -> Report:
    return Report("a.example", Outcome.FAILED, "due", error=error)


def refused(problem_type: str) -> OrderError:
    return OrderError("no", problem=Problem(problem_type, "x" * 1_000))


def test_every_metric_is_explained() -> None:
    activity = Activity()
    activity.count_request("letsencrypt", 201, 0.2)
    CountedProgress(FakeProgress(), activity).finished("a.example", "reload", 1.0, "")
    text = counts(activity)
    assert exported(text) == documented("Metrics of the daemon")
    assert complaints(text) == ""


async def test_failures_are_counted_by_stage_and_by_problems_that_an_rfc_names() -> None:
    activity, known = Activity(), refused(f"{ERROR_PREFIX}rateLimited")
    invented = [refused(f"urn:ca:{number}") for number in range(50)]
    reports = list(map(failed, [known, known, *invented, OrderError("away"), OSError("a defect")]))
    unchanged = Report("b.example", Outcome.UNCHANGED, "not due")
    passes = CountedPasses(_Passes([*reports, unchanged]), activity)
    assert await passes.run([], Mode.RETRY) == [*reports, unchanged]
    lines = [line for line in counts(activity).splitlines() if line.startswith("wellkeeper_renewal")]
    assert lines == [
        'wellkeeper_renewal_failures_total{problem="",stage="order"} 1.0',
        'wellkeeper_renewal_failures_total{problem="other",stage="order"} 50.0',
        'wellkeeper_renewal_failures_total{problem="rateLimited",stage="order"} 2.0',
        'wellkeeper_renewal_failures_total{problem="",stage="unexpected"} 1.0',
    ]


def test_requests_are_counted_by_the_first_digit_of_their_replies() -> None:
    activity = Activity()
    for status, seconds in ((200, 0.05), (201, 0.3), (400, 0.2), (None, 91.0)):
        activity.count_request("test", status, seconds)
    lines = counts(activity).splitlines()
    assert 'wellkeeper_ca_requests_total{ca="test",reply="2xx"} 2.0' in lines
    assert 'wellkeeper_ca_requests_total{ca="test",reply="4xx"} 1.0' in lines
    assert 'wellkeeper_ca_requests_total{ca="test",reply="none"} 1.0' in lines
    buckets = [line.rpartition(" ")[2] for line in lines if line.startswith("wellkeeper_ca_request_seconds_bucket")]
    assert buckets == ["1.0", "1.0", "2.0", *["3.0"] * 7, "4.0"]
    assert 'wellkeeper_ca_request_seconds_sum{ca="test"} 91.55' in lines


def test_finished_stages_are_timed_and_everything_is_passed_on() -> None:
    activity, progress, expected = Activity(), FakeProgress(), FakeProgress()
    counted = CountedProgress(progress, activity)
    for one in (counted, expected):
        one.started("a.example", "reload")
        one.finished("a.example", "reload", 0.7, "done")
        one.failed("a.example", "verify", 0.1, "no")
        one.note("a.example", "x")
    assert progress.lines == expected.lines
    lines = counts(activity).splitlines()
    assert 'wellkeeper_stage_seconds_count{stage="reload"} 1.0' in lines
    assert 'wellkeeper_stage_seconds_bucket{le="1.0",stage="reload"} 1.0' in lines
    assert 'wellkeeper_stage_seconds_count{stage="verify"} 0.0' in lines


def test_stages_start_at_zero_so_that_prometheus_sees_the_first_renewal_of_a_daemon() -> None:
    stages = re.findall(r'_stage_seconds_count{stage="(\w+)"} 0.0', counts(Activity()))
    assert stages == sorted(["order", "publish", "validate", "finalize", "install", "reload", "verify", "deploy"])
