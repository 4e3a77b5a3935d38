"""status --prometheus, parsed with the Prometheus client library."""

from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import FAILURE, NAME, NOW, UNTIL, install, record, write
from tests.metrics_page import documented, exported
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Budget, Limit, Rehearsal, Scope, Spent
from wellkeeper_issuer.status.certificate_status import Rows
from wellkeeper_issuer.status.metrics import to_prometheus
from wellkeeper_issuer.status.overview import Overview

Samples = dict[str, dict[tuple[str, ...], float]]


def parsed(text: str) -> Samples:
    """Return samples by name and label values."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        found[family.name.removeprefix("wellkeeper_")] = {
            tuple(sample.labels.values()): sample.value for sample in family.samples
        }
    return found


def test_expiry_failures_and_rehearsals_are_metrics(program: Program) -> None:
    program.configure(NAME, "missing.example")
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)

    async def fill(state: State) -> None:
        await state.schedules.record_failure(FAILURE)
        await state.notes.record_rehearsal(Rehearsal(NAME, NOW, False, "nginx -t"))

    write(program, fill)
    finished = program.run("status", "--prometheus")
    found = parsed(finished.out)
    assert finished.exit_code == 0
    assert found["certificate_not_after_seconds"] == {(NAME,): UNTIL.timestamp()}
    assert found["certificate_renew_at_seconds"].keys() == {(NAME,)}
    assert found["certificate_served"] == {(NAME,): 1, ("missing.example",): 0}
    assert found["certificate_failures"] == {(NAME,): 2, ("missing.example",): 0}
    assert found["certificate_rehearsal_well"] == {(NAME,): 0}
    assert found["daemon_running"] == {(): 0}
    assert abs(found["status_at_seconds"][()] - NOW.timestamp()) < timedelta(hours=1).total_seconds()


def test_every_metric_is_explained(program: Program) -> None:
    program.configure(NAME)
    text = program.run("status", "--prometheus").out
    assert exported(text) == sorted([*documented("Metrics of certificates"), *documented("Metrics of nodes")])


def test_remaining_orders_are_a_metric_with_any_label_value() -> None:
    limit = Limit(Spent.ORDER, Scope.EXACT_SET, 5, 3600.0)
    budget = Budget(limit, 'a\\"b\nc', 3, None)
    text = to_prometheus(Overview([], Rows(), NOW, 4711, [("letsencrypt", budget)]))
    found = parsed(text)
    assert found["ca_limit_left"] == {("letsencrypt", "order", "exact set", 'a\\"b\nc'): 2}
    assert found["daemon_running"] == {(): 1}
