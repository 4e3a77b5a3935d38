"""Count what the relay does."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from wellkeeper_responder.exposition import ServerMetrics, by_one, counted


class Metrics(ServerMetrics):
    """Counters that the other parts increment."""

    def __init__(self, version: str) -> None:
        super().__init__("wellkeeper_relay", "wellkeeper_relay", version)
        self.stored: Counter[str] = Counter()
        # By listener and the last part of the problem's type.
        self.refused: Counter[tuple[str, str]] = Counter()

    def count(self) -> Iterator[Metric]:
        yield counted("wellkeeper_relay_stored", "Records stored.", ["kind"], by_one(self.stored))
        yield counted("wellkeeper_relay_refused", "Refused requests.", ["listener", "problem"], self.refused.items())
