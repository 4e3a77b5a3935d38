"""Format the status of all certificates for Prometheus: text for the textfile collector of node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Overview, Shown

Sample = tuple[Mapping[str, str], float]


def to_prometheus(seen: Overview) -> str:
    """Return all gauges; an unknown value has no line."""
    shown = seen.shown
    budgets = [
        ({"ca": ca, "spent": one.limit.spent, "scope": one.limit.scope, "value": one.value}, float(one.left))
        for ca, one in seen.budgets
    ]
    parts = (
        gauge("certificate_not_after_seconds", "Expiry of the live certificate.", _times(shown, _not_after)),
        gauge("certificate_renew_at_seconds", "Planned time of the renewal.", _times(shown, _renew_at)),
        gauge(
            "certificate_served",
            "1 if nginx was verified to serve the certificate.",
            ((_of(one), float(one.status.state is State.SERVED)) for one in shown if not _is_hidden(one)),
        ),
        gauge(
            "certificate_served_not_after_seconds",
            "Expiry of another certificate that clients get.",
            _times(shown, _served_not_after),
        ),
        gauge(
            "certificate_failures",
            "Consecutive failures of the renewal.",
            ((_of(one), float(one.status.failure.count if one.status.failure else 0)) for one in shown),
        ),
        gauge(
            "certificate_rehearsal_well",
            "1 if the last rehearsal succeeded.",
            ((_of(one), float(one.rehearsal.is_well)) for one in shown if one.rehearsal),
        ),
        gauge("ca_limit_left", "Uses left of a CA's limit, where any was used.", budgets),
        gauge(
            "daemon_running", "1 if a daemon manages these certificates.", [({}, float(seen.daemon_pid is not None))]
        ),
        gauge("status_at_seconds", "Time at which this was written.", [({}, seen.now.timestamp())]),
    )
    return "".join(line for part in parts for line in part)


def _of(one: Shown) -> dict[str, str]:
    return {"certificate": one.lineage.name}


def _not_after(one: Shown) -> datetime | None:
    return one.not_after


def _served_not_after(one: Shown) -> datetime | None:
    return one.served_not_after


def _is_hidden(one: Shown) -> bool:
    return one.status.state is State.HIDDEN


def _renew_at(one: Shown) -> datetime | None:
    return one.renew_at


def _times(shown: Iterable[Shown], time: Callable[[Shown], datetime | None]) -> Iterator[Sample]:
    for one in shown:
        at = time(one)
        if at is not None:
            yield _of(one), at.timestamp()


def gauge(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    """Yield the lines of one metric."""
    yield f"# HELP wellkeeper_{name} {text}\n# TYPE wellkeeper_{name} gauge\n"
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"wellkeeper_{name}{{{inner}}} {value:.12g}\n" if inner else f"wellkeeper_{name} {value:.12g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
