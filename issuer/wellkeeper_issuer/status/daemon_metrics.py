"""Export what a daemon knows about itself as metrics: its heartbeat, and what its daily checks found."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client.core import Metric

from wellkeeper_issuer.status.exposition import Sample, gauge


def of_daemon(started_at: datetime, checked: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield the metrics; `checked` is what `Factories.checked` returns."""
    yield gauge("daemon_started_at_seconds", "Start of the daemon.", [], [([], started_at.timestamp())])
    counts = Counter(one["check"] for one in checked.get("findings", ()))
    failing: list[Sample] = [([check], float(count)) for check, count in sorted(counts.items())]
    yield gauge("daily_checks_failing", "Failures that the last daily checks found.", ["check"], failing)
    heartbeat = checked.get("heartbeat") or {}
    called_at, since = _time(heartbeat.get("called_at")), _time(heartbeat.get("failing_since"))
    yield gauge("heartbeat_called_at_seconds", "Time of the last heartbeat that was accepted.", [], called_at)
    yield gauge("heartbeat_failing_since_seconds", "Time since which no heartbeat is accepted.", [], since)


def _time(text: str | None) -> list[Sample]:
    return [([], datetime.fromisoformat(text).timestamp())] if text else []
