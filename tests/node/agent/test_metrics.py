"""Metrics of a node, parsed with the Prometheus client library."""

from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from tests.fakes_deliver import NOW
from tests.fleet import PAIR
from tests.metrics_page import documented, exported
from wellkeeper_node.agent.metrics import to_prometheus
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report, ResponderReport
from wellkeeper_node.agent.shown import Shown
from wellkeeper_node.certificates import reading

LEAF = reading.read_certificate(PAIR.chain_pem)


def parsed(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Return samples by name and label values."""
    return {
        family.name.removeprefix("wellkeeper_node_"): {
            tuple(sample.labels.values()): sample.value for sample in family.samples
        }
        for family in text_string_to_metric_families(text)
    }


def test_every_metric_is_explained() -> None:
    assert exported(to_prometheus(None, {}, NOW)) == documented("Metrics of a node")


def test_report_contacts_and_expiry_are_metrics() -> None:
    certificates = {
        "web": CertificateReport(2, "ab" * 32, CertificateState.SERVED),
        "mail": CertificateReport(1, "cd" * 32, CertificateState.REFUSED, "no"),
        "ftp": CertificateReport(1, "ef" * 32, CertificateState.INSTALLED),
    }
    report = Report("1.2.3", 1000.5, responder=ResponderReport(error="gone"), certificates=certificates)
    shown = Shown(report, {"10.0.0.1:8404": "", "10.0.0.2:8404": "no"}, {"10.0.0.1:8404": 999.0, "10.0.0.2:8404": None})
    assert parsed(to_prometheus(shown, {"web": LEAF, "old": LEAF}, NOW)) == {
        "reported_at_seconds": {(): 1000.5},
        "relay_contact_at_seconds": {("10.0.0.1:8404",): 999},
        "responder_answers": {(): 0},
        "certificates_behind": {(): 1},
        "certificate_served": {("web",): 1, ("mail",): 0, ("ftp",): 0},
        "reload_succeeded": {(): 0},
        "certificate_not_before_seconds": dict.fromkeys([("web",), ("old",)], LEAF.not_before.timestamp()),
        "certificate_not_after_seconds": dict.fromkeys([("web",), ("old",)], LEAF.not_after.timestamp()),
        "status_at_seconds": {(): NOW.timestamp()},
    }


def test_socket_of_a_relay_with_any_characters_is_a_label() -> None:
    name = 'unix:/run/"a"\\n\n'
    text = to_prometheus(Shown(Report("1.2.3", 1000.5), {name: ""}, {name: 999.0}), {}, NOW)
    assert parsed(text)["relay_contact_at_seconds"] == {(name,): 999}


def test_node_without_problems_has_good_metrics() -> None:
    report = Report("1.2.3", 1000.5, certificates={"web": CertificateReport(2, "ab" * 32, CertificateState.SERVED)})
    found = parsed(to_prometheus(Shown(report, {}), {}, NOW + timedelta(seconds=1)))
    assert (found["responder_answers"], found["reload_succeeded"], found["certificates_behind"]) == (
        {(): 1},
        {(): 1},
        {(): 0},
    )
