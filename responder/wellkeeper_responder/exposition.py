"""The common part of the metrics of responder and relay: a Prometheus collector in a separate registry.

These are plain numbers: prometheus-client's own counters would write files when PROMETHEUS_MULTIPROC_DIR is set.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class ServerMetrics(ABC):
    """Counters of connections, and gauges that are read at each scrape.

    `program` names the build; `prefix` begins the names of all other metrics here.
    """

    def __init__(self, program: str, prefix: str, version: str) -> None:
        self.refused_connections: Counter[str] = Counter()
        self.closed_connections: Counter[str] = Counter()
        # Of each listener, with its kind.
        self.capacities: list[tuple[str, Sized]] = []
        self._program, self._prefix, self._version = program, prefix, version
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
        build = GaugeMetricFamily(f"{self._program}_build_info", "Always 1.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        for name, documentation, value in self._gauges:
            yield GaugeMetricFamily(name, documentation, value=value())
        yield from self.count()
        refused, closed = by_one(self.refused_connections), by_one(self.closed_connections)
        yield counted(f"{self._prefix}_connections_refused", "Refused connections.", ["listener"], refused)
        yield counted(f"{self._prefix}_connections_closed", "Closed to make room.", ["listener"], closed)
        held = GaugeMetricFamily(f"{self._prefix}_connections", "Connections that are open.", labels=["listener"])
        for kind in sorted({kind for kind, _ in self.capacities}):
            held.add_metric([kind], sum(len(one) for of, one in self.capacities if of == kind))
        yield held

    @abstractmethod
    def count(self) -> Iterator[Metric]:
        """Yield the program's own counters."""


def counted(
    name: str, documentation: str, labels: Sequence[str], counts: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    """Return a counter with one sample for each combination of the labels' values."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, count in sorted(counts):
        family.add_metric(list(values), count)
    return family


def by_one(counts: Counter[str]) -> list[tuple[tuple[str, ...], int]]:
    """Return counts by one label as `counted` takes them."""
    return [((value,), count) for value, count in counts.items()]
