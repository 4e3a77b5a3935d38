"""status: conditions, worst first, and their notes."""

import re
from datetime import timedelta

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import (
    ATTEMPT,
    DATES,
    FAILURE,
    HOUR,
    NAME,
    NOW,
    install,
    line,
    record,
    schedule,
    shown,
    write,
)
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Failure, Rehearsal
from wellkeeper_node.errors import Retry


@pytest.fixture
def ca() -> FakeCa:
    return FakeCa(NOW)


def test_successful_renewal_hides_an_older_failed_rehearsal(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    write(program, lambda state: state.notes.record_rehearsal(Rehearsal(NAME, NOW - timedelta(days=1), False, "no")))
    assert line(program) == f"served  {NAME}  {DATES}"
    assert "rehearsal" not in program.run("why", NAME).out


def test_interrupted_renewal_is_shown_as_under_way(program: Program) -> None:
    program.configure(NAME)
    write(program, lambda state: state.attempts.record_attempt(ATTEMPT))
    assert line(program) == f"missing  {NAME}  -  -  renewal under way"
    assert "A renewal is in progress." in program.run("why", NAME).out


def test_failed_renewal_is_not_in_progress_while_its_order_waits_for_the_next_try(program: Program) -> None:
    program.configure(NAME)
    write(program, lambda state: state.attempts.record_attempt(ATTEMPT))
    write(program, lambda state: state.schedules.record_failure(FAILURE))
    found = program.run("why", NAME).out
    assert "It failed" in found
    assert "in progress" not in found


def test_failed_forced_renewal_of_a_certificate_not_due_is_not_failing(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    program.hide_last()
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)

    async def fill(state: State) -> None:
        await state.schedules.record_schedule(schedule(version))
        await state.schedules.record_failure(FAILURE)

    write(program, fill)
    assert line(program).startswith(f"served  {NAME}  {DATES}  not due, but its last renewal failed: order: no")
    assert program.run("status", "--check").exit_code == 0
    assert "Nothing to do before " in program.run("why", NAME).out
    assert program.run("renew").exit_code == 0


def test_worst_certificates_come_first(program: Program, ca: FakeCa) -> None:
    program.configure(NAME, "b.example", "c.example")
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    failure = Failure("c.example", 1, "order", "no", Retry.SOON, NOW, NOW, NOW + HOUR)
    write(program, lambda state: state.schedules.record_failure(failure))
    counts, _, *lines = shown(program)
    assert counts == "3 certificates: 1 served, 1 failing, 1 missing"
    assert [re.split(" {2,}", one)[:2] for one in lines[:3]] == [
        ["failing", "c.example"],
        ["missing", "b.example"],
        ["served", NAME],
    ]


def test_check_fails_while_the_certificate_lacks_a_dead_name(program: Program, ca: FakeCa) -> None:
    table = "[[certificates]]\nidentifiers = ['{}'{}]\ndrop_failing_names = true\nhttps_addresses = []"
    program.configure(more=table.format(NAME, ", 'old.example'"))
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    write(program, lambda state: state.schedules.record_schedule(schedule(version)))
    assert program.run("status", "--check").exit_code == 1
    program.configure(more=table.format(NAME, ""))
    assert program.run("status", "--check").exit_code == 0


def test_damaged_journal_is_reported(program: Program) -> None:
    program.configure(NAME)
    program.make_keys()
    (program.state_dir / "state.db").write_bytes(b"nothing of ours" * 100)
    finished = program.run("status")
    assert finished.exit_code == 1
    assert finished.err.startswith(f"wellkeeper: cannot use {program.state_dir}/state.db\n")
    assert "Restore the file from a backup, or move it" in finished.err
