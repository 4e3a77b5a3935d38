"""Export as metrics whether this host works as the issuer, or waits as a standby."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric

from wellkeeper_issuer.status.exposition import gauge


def of_issuer(problems: Mapping[str, bool]) -> Iterator[Metric]:
    """Yield the metrics of an issuer; `problems` says of each kind whether there is one."""
    text = "1 if the issuer has this problem."
    yield gauge("issuer_problem", text, ["problem"], (([kind], float(found)) for kind, found in problems.items()))


def of_standby(*, is_ready: bool | None) -> Iterator[Metric]:
    """Yield the metrics of a standby; `is_ready` is None if only a person promotes it."""
    text = "1 if this standby takes over when the issuer is lost."
    yield gauge("standby_ready", text, [], [] if is_ready is None else [([], float(is_ready))])
