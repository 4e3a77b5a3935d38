"""Export what waits for the targets of notifications as metrics."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from wellkeeper_issuer.status.exposition import gauge
from wellkeeper_issuer.status.targets import Targets


def of_targets(targets: Targets) -> Iterator[Metric]:
    """Yield the metrics."""
    waiting = (([name], float(one.waiting)) for name, one in targets.items())
    yield gauge("notifications_waiting", "Notifications that a target has not accepted yet.", ["target"], waiting)
    failing_since = (([name], one.since.timestamp()) for name, one in targets.items() if one.since is not None)
    oldest = (([name], one.oldest_at.timestamp()) for name, one in targets.items() if one.oldest_at is not None)
    yield gauge("notifications_oldest_at_seconds", "Time of the oldest one of these.", ["target"], oldest)
    text = "Time since which a target accepts nothing."
    yield gauge("notifications_failing_since_seconds", text, ["target"], failing_since)
