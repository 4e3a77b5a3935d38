"""Count what the responder does."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from wellkeeper_responder.exposition import ServerMetrics, by_one, counted


class Metrics(ServerMetrics):
    """Counters that the other parts increment."""

    def __init__(self, version: str) -> None:
        super().__init__("wellkeeper_responder", "wellkeeper", version)
        self.publications: Counter[str] = Counter()
        self.publications_of: Counter[tuple[str, str]] = Counter()
        self.tokens_of_publishers: Callable[[], Mapping[str, float]] = dict
        self.withdrawals: Counter[str] = Counter()
        self.fetches: Counter[tuple[str, str]] = Counter()
        self.held: Counter[str] = Counter()

    def count_publication(self, result: str, publisher: str) -> None:
        """Count a publication, also for its publisher if the issuer did not send it."""
        self.publications[result] += 1
        if publisher:
            self.publications_of[publisher, result] += 1

    def count(self) -> Iterator[Metric]:
        yield counted("wellkeeper_publications", "Publications received.", ["result"], by_one(self.publications))
        documentation = "Publications received from publishers."
        labels = ["publisher", "result"]
        yield counted("wellkeeper_publisher_publications", documentation, labels, self.publications_of.items())
        tokens = GaugeMetricFamily(
            "wellkeeper_publisher_tokens", "Active publications of publishers.", labels=labels[:1]
        )
        for name, count in self.tokens_of_publishers().items():
            tokens.add_metric([name], count)
        yield tokens
        yield counted("wellkeeper_withdrawals", "Withdrawals received.", ["result"], by_one(self.withdrawals))
        documentation = "Requests on public listeners, by kind and HTTP status."
        yield counted("wellkeeper_fetches", documentation, ["kind", "status"], self.fetches.items())
        documentation = "Requests for unknown tokens that waited for a publication."
        yield counted("wellkeeper_held_requests", documentation, ["result"], by_one(self.held))
