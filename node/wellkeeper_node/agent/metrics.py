"""Format the state of this node for Prometheus: text for the textfile collector of node_exporter. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from wellkeeper_node.agent.report import DONE, CertificateReport, CertificateState
from wellkeeper_node.agent.shown import Shown
from wellkeeper_node.model import Certificate

_Sample = tuple[Mapping[str, str], float]

# Of the values of labels: the path of a relay's socket may have any of these.
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_AGENT: Final[Mapping[str, str]] = {
    "reported_at_seconds": "Time of the last report of the agent.",
    "relay_contact_at_seconds": "Time of the last answer of the relay.",
    "responder_answers": "1 if the responder of this node answers.",
    "certificates_behind": "Certificates whose newest version is not in use.",
    "certificate_served": "1 if a handshake proved that nginx serves the newest version.",
    "reload_succeeded": "0 if nginx refused its last test or reload for a certificate.",
}


def to_prometheus(shown: Shown | None, live: Mapping[str, Certificate], now: datetime) -> str:
    """Return all gauges; an unknown value has no line. Without `shown`, the agent has never run."""
    of_agent = _of_agent(shown) if shown is not None else dict.fromkeys(_AGENT, ())
    leaves = [({"certificate": name}, leaf) for name, leaf in sorted(live.items())]
    begins = [(labels, leaf.not_before.timestamp()) for labels, leaf in leaves]
    expiries = [(labels, leaf.not_after.timestamp()) for labels, leaf in leaves]
    parts = [_gauge(name, text, of_agent[name]) for name, text in _AGENT.items()]
    parts.append(_gauge("certificate_not_before_seconds", "Start of the live certificate's validity.", begins))
    parts.append(_gauge("certificate_not_after_seconds", "Expiry of the live certificate.", expiries))
    parts.append(_gauge("status_at_seconds", "Time at which this was written.", [({}, now.timestamp())]))
    return "".join(parts)


def _of_agent(shown: Shown) -> dict[str, Iterable[_Sample]]:
    report, certificates = shown.report, sorted(shown.report.certificates.items())
    is_refused = any(_is(one, CertificateState.REFUSED) for _, one in certificates)
    return {
        "reported_at_seconds": [({}, report.clock)],
        "relay_contact_at_seconds": [({"relay": name}, at) for name, at in shown.contacts.items() if at is not None],
        "responder_answers": [({}, float(report.responder.error is None))],
        "certificates_behind": [({}, float(sum(one.state not in DONE for _, one in certificates)))],
        "certificate_served": [
            ({"certificate": name}, float(_is(one, CertificateState.SERVED))) for name, one in certificates
        ],
        "reload_succeeded": [({}, float(not is_refused))],
    }


def _is(one: CertificateReport, state: CertificateState) -> bool:
    return one.state is state


def _gauge(name: str, text: str, samples: Iterable[_Sample]) -> str:
    """Return the lines of a gauge."""
    lines = [f"# HELP wellkeeper_node_{name} {text}", f"# TYPE wellkeeper_node_{name} gauge"]
    for labels, value in samples:
        inner = "".join(f'{{{label}="{content.translate(_ESCAPES)}"}}' for label, content in labels.items())
        lines.append(f"wellkeeper_node_{name}{inner} {value:.12g}")
    return "\n".join(lines) + "\n"
