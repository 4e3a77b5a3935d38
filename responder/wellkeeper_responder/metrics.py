"""Count what the responder does."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from wellkeeper_responder.exposition import ServerMetrics, by_one, counted


class Metrics(ServerMetrics):
    """Counters that the other parts increment."""

    def __init__(self, version: str) -> None:
        super().__init__("wellkeeper_responder", "wellkeeper", version)
        self.publications: Counter[str] = Counter()
        self.withdrawals: Counter[str] = Counter()
        self.fetches: Counter[tuple[str, str]] = Counter()
        self.held: Counter[str] = Counter()

    def count(self) -> Iterator[Metric]:
        yield counted("wellkeeper_publications", "Publications received.", ["result"], by_one(self.publications))
        yield counted("wellkeeper_withdrawals", "Withdrawals received.", ["result"], by_one(self.withdrawals))
        documentation = "Requests on public listeners, by kind and HTTP status."
        yield counted("wellkeeper_fetches", documentation, ["kind", "status"], self.fetches.items())
        documentation = "Requests for unknown tokens that waited for a publication."
        yield counted("wellkeeper_held_requests", documentation, ["result"], by_one(self.held))
