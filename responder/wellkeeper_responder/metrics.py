"""Count events, and export the counts as a Prometheus collector in a separate registry.

These are plain numbers: prometheus-client's own counters would write files when PROMETHEUS_MULTIPROC_DIR is set, and a
responder writes no files.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sized

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class Metrics:
    """Counters that the other parts increment, and gauges that are read at each scrape."""

    def __init__(self, version: str) -> None:
        self.publications: Counter[str] = Counter()
        self.withdrawals: Counter[str] = Counter()
        self.fetches: Counter[tuple[str, str]] = Counter()
        self.refused_connections: Counter[str] = Counter()
        self.closed_connections: Counter[str] = Counter()
        # Of each listener, with its kind.
        self.capacities: list[tuple[str, Sized]] = []
        self._version = version
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def add_gauge(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        self._gauges.append((name, documentation, value))

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Implement prometheus-client's collector."""
        build = GaugeMetricFamily("wellkeeper_responder_build_info", "Always 1.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        for name, documentation, value in self._gauges:
            yield GaugeMetricFamily(name, documentation, value=value())
        yield _counted("wellkeeper_publications", "Publications received.", "result", self.publications)
        yield _counted("wellkeeper_withdrawals", "Withdrawals received.", "result", self.withdrawals)
        yield _counted("wellkeeper_connections_refused", "Refused connections.", "listener", self.refused_connections)
        yield _counted("wellkeeper_connections_closed", "Closed to make room.", "listener", self.closed_connections)
        held = GaugeMetricFamily("wellkeeper_connections", "Connections that are open.", labels=["listener"])
        for kind in sorted({kind for kind, _ in self.capacities}):
            held.add_metric([kind], sum(len(one) for of, one in self.capacities if of == kind))
        yield held
        fetches = CounterMetricFamily(
            "wellkeeper_fetches",
            "Requests on public listeners, by kind and HTTP status.",
            labels=["kind", "status"],
        )
        for labels, count in sorted(self.fetches.items()):
            fetches.add_metric(list(labels), count)
        yield fetches


def _counted(name: str, documentation: str, label: str, counts: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
