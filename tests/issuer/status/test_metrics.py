"""status --prometheus, parsed with the Prometheus client library."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import FAILURE, HOUR, NAME, NOW, RENEWED, UNTIL, install, record, schedule, write
from tests.metrics_page import documented, exported
from tests.promtool import complaints
from wellkeeper_issuer.assembly.all_metrics import recorded
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Budget, Check, Limit, Rehearsal, Scope, Seen, Spent
from wellkeeper_issuer.status.certificate_status import Rows
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
        await state.schedules.record_failure(replace(FAILURE, problem="not in\nany RFC"))
        await state.notes.record_rehearsal(Rehearsal(NAME, NOW + 2 * HOUR, False, "nginx -t"))

    write(program, fill)
    finished = program.run("status", "--prometheus")
    found = parsed(finished.out)
    assert finished.exit_code == 0
    assert found["certificate_state"] == {(NAME, "served"): 1, ("missing.example", "missing"): 1}
    assert found["certificate_not_after_seconds"] == {(NAME,): UNTIL.timestamp()}
    assert found["certificate_renew_at_seconds"].keys() == {(NAME,)}
    assert found["certificate_served"] == {(NAME,): 1, ("missing.example",): 0}
    assert found["certificate_served_not_after_seconds"] == {(NAME,): UNTIL.timestamp()}
    assert found["certificate_failures"] == {(NAME,): 2, ("missing.example",): 0}
    assert found["certificates_failing"] == {("other", "order"): 1}
    assert found["certificate_rehearsal_well"] == {(NAME,): 0}
    assert found["daemon_running"] == {(): 0}
    assert abs(found["status_at_seconds"][()] - NOW.timestamp()) < timedelta(hours=1).total_seconds()
    assert found["build_info"] == {(version_of(program),): 1}


def version_of(program: Program) -> str:
    return program.run("--version").out.split()[-1]


@pytest.mark.parametrize(
    ("check", "expiry"),
    [
        pytest.param(Check(NAME, "1", Seen.WRONG, NOW, NOW, NOW + HOUR), NOW + HOUR, id="another certificate"),
        pytest.param(Check(NAME, "1", Seen.WRONG, NOW), None, id="no handshake"),
        pytest.param(Check(NAME, "0", Seen.SERVED, NOW), None, id="the version before was"),
    ],
)
def test_expiry_of_what_clients_get_is_not_that_of_the_live_certificate(
    program: Program, check: Check, expiry: object
) -> None:
    program.configure(NAME)
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    seen = replace(check, version=version) if check.version == "1" else check
    write(program, lambda state: state.deliveries.record_check(seen))
    found = parsed(program.run("status", "--prometheus").out)["certificate_served_not_after_seconds"]
    assert list(found.values()) == ([(NOW + HOUR).timestamp()] if expiry else [])


def test_window_of_the_ca_is_a_metric(program: Program) -> None:
    program.configure(NAME)
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    write(program, lambda state: state.schedules.record_schedule(schedule(version)))
    found = parsed(program.run("status", "--prometheus").out)
    assert found["certificate_renewal_window_start_seconds"] == {(NAME,): (RENEWED - HOUR).timestamp()}
    assert found["certificate_renewal_window_end_seconds"] == {(NAME,): (RENEWED + HOUR).timestamp()}


def test_every_metric_is_explained(program: Program) -> None:
    program.configure(NAME)
    text = program.run("status", "--prometheus").out
    assert exported(text) == sorted([*documented("Metrics of certificates"), *documented("Metrics of nodes")])
    assert complaints(text) == ""


def test_only_the_least_that_is_left_of_a_limit_is_a_metric() -> None:
    limit = Limit(Spent.ORDER, Scope.EXACT_SET, 5, 3600.0)
    budgets = [("letsencrypt", Budget(limit, f'a\\"b\n{used}', used, None)) for used in (2, 3, 1)]
    found = parsed(recorded(Overview([], Rows(), NOW, 4711, budgets), (), {}))
    assert found["ca_limit_left"] == {("letsencrypt", "exact set", "order"): 2}
    assert found["daemon_running"] == {(): 1}
