"""Export the status of all certificates as metrics. Pure; an unknown value has no sample.

The number of samples depends on the settings alone: no label has a CA's words, and only the tightest value of each
limit is exported.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client.core import Metric

from wellkeeper_issuer.records import Budget, Seen
from wellkeeper_issuer.status.activity import problem_label
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.exposition import Sample, gauge
from wellkeeper_issuer.status.overview import Overview, Shown


def of_certificates(seen: Overview, version: str) -> Iterator[Metric]:
    """Yield the metrics; `version` is that of this program."""
    yield from of_output(seen, version)
    yield from _of_each(seen.shown)
    yield gauge(
        "certificates_failing",
        "Certificates whose last renewal failed.",
        ["stage", "problem"],
        _failing(seen.shown),
    )
    yield gauge(
        "ca_limit_left",
        "Uses left of a CA's limit, where any was used; the least of all accounts, names or sets.",
        ["ca", "spent", "scope"],
        _least_left(seen.budgets),
    )
    is_running = float(seen.daemon_pid is not None)
    yield gauge("daemon_running", "1 if a daemon manages these certificates.", [], [([], is_running)])


def of_output(seen: Overview, version: str) -> Iterator[Metric]:
    """Yield what wrote the metrics, and when."""
    yield gauge("build_info", "Always 1.", ["version"], [([version], 1.0)])
    yield gauge("status_at_seconds", "Time at which this was written.", [], [([], seen.now.timestamp())])


def _of_each(shown: Sequence[Shown]) -> Iterator[Metric]:
    yield gauge(
        "certificate_state",
        "1 for the present state of the certificate.",
        ["certificate", "state"],
        (([one.lineage.name, one.status.state.value], 1.0) for one in shown),
    )
    yield _times("certificate_not_after_seconds", "Expiry of the live certificate.", shown, _not_after)
    yield _times("certificate_renew_at_seconds", "Planned time of the renewal.", shown, _renew_at)
    start, end = "renewal_window_start_seconds", "renewal_window_end_seconds"
    yield _times(f"certificate_{start}", "Start of the CA's suggested window.", shown, _window_start)
    yield _times(f"certificate_{end}", "End of the CA's suggested window.", shown, _window_end)
    yield _each(
        "certificate_served",
        "1 if nginx was verified to serve the certificate.",
        ((one, one.status.state is State.SERVED) for one in shown if one.status.state is not State.HIDDEN),
    )
    yield _times(
        "certificate_served_not_after_seconds", "Expiry of the certificate that clients get.", shown, _served_not_after
    )
    yield _each(
        "certificate_lacks_names",
        "1 if the live certificate lacks names that its CA refuses.",
        ((one, one.lacks_names) for one in shown if one.lineage.drops_failing_names),
    )
    yield _each(
        "certificate_failures",
        "Consecutive failures of the renewal.",
        ((one, one.status.failure.count if one.status.failure else 0) for one in shown),
    )
    yield _each(
        "certificate_rehearsal_well",
        "0 if the last rehearsal failed and no certificate was issued since.",
        ((one, one.failed_rehearsal is None) for one in shown if one.rehearsal),
    )


def _each(name: str, text: str, values: Iterable[tuple[Shown, float]]) -> Metric:
    return gauge(name, text, ["certificate"], (([one.lineage.name], float(value)) for one, value in values))


def _times(name: str, text: str, shown: Iterable[Shown], time: Callable[[Shown], datetime | None]) -> Metric:
    found = ((one, time(one)) for one in shown)
    return _each(name, text, ((one, at.timestamp()) for one, at in found if at is not None))


def _not_after(one: Shown) -> datetime | None:
    return one.not_after


def _renew_at(one: Shown) -> datetime | None:
    return one.renew_at


def _window_start(one: Shown) -> datetime | None:
    schedule = one.status.schedule
    return schedule.window.start if schedule and schedule.window else None


def _window_end(one: Shown) -> datetime | None:
    schedule = one.status.schedule
    return schedule.window.end if schedule and schedule.window else None


def _served_not_after(one: Shown) -> datetime | None:
    """Return the expiry of what the last handshake showed: another certificate, or the live one."""
    check = one.check
    if check is None or check.leaf_not_after is not None:
        return one.served_not_after
    return one.not_after if check.seen is Seen.SERVED and check.version == one.status.version else None


def _failing(shown: Iterable[Shown]) -> Iterable[Sample]:
    failures = (one.status.failure for one in shown)
    counts = Counter((failure.stage, problem_label(failure.problem)) for failure in failures if failure)
    return (([stage, problem], float(count)) for (stage, problem), count in sorted(counts.items()))


def _least_left(budgets: Iterable[tuple[str, Budget]]) -> Iterable[Sample]:
    least: dict[tuple[str, str, str], float] = {}
    for ca, budget in budgets:
        key = (ca, budget.limit.spent.value, budget.limit.scope.value)
        least[key] = min(least.get(key, float("inf")), budget.left)
    return ((list(key), left) for key, left in sorted(least.items()))
