"""Export what a daemon did from its start on as metrics."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from wellkeeper_issuer.status.activity import Activity, Durations
from wellkeeper_issuer.status.exposition import PREFIX


def of_activity(activity: Activity) -> Iterator[Metric]:
    """Yield the metrics."""
    yield _counter("renewal_failures", "Failed renewals.", ["stage", "problem"], activity.failures)
    yield _histogram("stage_seconds", "Duration of the stages of renewals.", "stage", activity.stages)
    yield _counter("ca_requests", "Requests to a CA, by its replies.", ["ca", "reply"], activity.requests)
    yield _histogram("ca_request_seconds", "Duration of requests to a CA.", "ca", activity.latencies)


def _counter(name: str, text: str, labels: Sequence[str], counts: Counter[tuple[str, str]]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _histogram(name: str, text: str, label: str, found: Mapping[str, Durations]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, text, labels=[label])
    for value, one in sorted(found.items()):
        family.add_metric([value], list(_buckets(one)), one.sum_seconds)
    return family


def _buckets(one: Durations) -> Iterator[tuple[str, float]]:
    """Yield upper bounds with the number of durations below them."""
    total = 0
    for bound, count in zip([*map(str, one.bounds), "+Inf"], one.counts, strict=True):
        total += count
        yield bound, total
