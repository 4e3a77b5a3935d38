"""Make metrics and their text by prometheus-client, without its global registry.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

PREFIX: Final = "wellkeeper_"
# The values of the labels, and the value.
Sample = tuple[Sequence[str], float]


def gauge(name: str, text: str, labels: Sequence[str], samples: Iterable[Sample]) -> GaugeMetricFamily:
    """Return a gauge with these samples; `name` comes without the prefix."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def to_text(families: Iterable[Metric]) -> str:
    """Return the metrics in the text format."""
    registry = CollectorRegistry()
    registry.register(_Collected(families))
    return generate_latest(registry).decode()


class _Collected:
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Implement prometheus-client's collector."""
        yield from self._families
