"""status, read from disk alone."""

import asyncio
import os
from datetime import timedelta

import pytest

from stand.ports import free_port
from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.commands.statuses import (
    DATES,
    FAILURE,
    HOUR,
    LIMITED,
    NAME,
    NOW,
    install,
    line,
    record,
    schedule,
    shown,
    write,
)
from wellkeeper_issuer.outside.state.lock import LocalOwnership
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Blocked, Check, Failure, Rehearsal, Scope, Seen, Spent, Use
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.errors import Retry


@pytest.fixture
def ca() -> FakeCa:
    return FakeCa(NOW)


def test_without_certificates_the_next_step_is_to_add_one(program: Program) -> None:
    program.configure()
    assert shown(program)[::2] == ["no certificates are configured", "Next: sudo wellkeeper certificate add NAME"]


def test_missing_certificate_is_shown(program: Program) -> None:
    program.configure(NAME)
    assert shown(program) == [
        "1 certificate: 1 missing",
        "STATE    NAME       EXPIRES  RENEWS  NOTE",
        "missing  a.example  -        -",
        "daemon: not running",
        "Next: sudo wellkeeper renew",
    ]
    found = program.run("status", "--json").json()
    del found["nginx"]
    assert found == {
        "schema_version": 1,
        "is_reload_needed": False,
        "publishers": [],
        "standby": None,
        "lease": None,
        "takeover": None,
        "issuers": None,
        "notifications": [],
        "restore": None,
        "certificates": [
            {
                "name": NAME,
                "state": "missing",
                "is_renewal_under_way": False,
                "to_do": "no certificate yet",
                "next_try_at": None,
                "version": None,
                "identifiers": [NAME],
                "serial": None,
                "fingerprint_sha256": None,
                "issued_by": None,
                "not_before": None,
                "not_after": None,
                "checked_at": None,
                "served_not_after": None,
                "renew_at": None,
                "schedule": None,
                "failure": None,
                "rehearsal": None,
            }
        ],
        "daemon": None,
        "limits": [],
        "nodes": [],
    }
    assert not program.state_dir.exists()


def test_placeholder_is_shown(program: Program) -> None:
    program.configure(NAME)
    install(program, make_self_signed([dns(NAME)], 7, NOW))
    assert line(program) == f"placeholder  {NAME}  {NOW + timedelta(days=7):%Y-%m-%d} (6 days)  -"
    (reported,) = program.run("status", "--json").json()["certificates"]
    assert (reported["state"], reported["to_do"]) == ("placeholder", "only a self-signed placeholder is installed")
    assert (reported["not_after"], reported["renew_at"]) == ((NOW + timedelta(days=7)).isoformat(), None)


def test_certificate_that_waits_for_its_ca_shows_until_when(program: Program) -> None:
    program.configure(NAME)
    until = NOW + timedelta(hours=1)
    write(program, lambda state: state.ledger.record_block(Blocked(UNREACHABLE_CA, NAME, until, "all are used")))
    assert line(program) == f"missing  {NAME}  -  -  next try at {until:%Y-%m-%d %H:%M:%S} UTC"
    assert shown(program)[-1] == "daemon: not running"


def test_failed_certificate_shows_its_failure_and_the_next_try(program: Program) -> None:
    program.configure(NAME)
    failure = Failure(NAME, 1, "order", "no", Retry.SOON, NOW, NOW, NOW + timedelta(hours=1))
    write(program, lambda state: state.schedules.record_failure(failure))
    next_try = f"next try at {NOW + HOUR:%Y-%m-%d %H:%M:%S} UTC"
    assert line(program) == f"failing  {NAME}  -  -  order: no (once); {next_try}"
    assert shown(program)[-1] == f"Next: sudo wellkeeper why {NAME}"


def test_next_try_in_the_past_is_not_shown(program: Program) -> None:
    program.configure(NAME)
    failure = Failure(NAME, 1, "order", "no", Retry.SOON, NOW - 2 * HOUR, NOW - 2 * HOUR, NOW - HOUR)
    write(program, lambda state: state.schedules.record_failure(failure))
    assert line(program) == f"failing  {NAME}  -  -  order: no (once)"


@pytest.mark.parametrize(
    ("is_reloaded", "is_served", "state", "note"),
    [
        (False, False, "not served yet", "  installed, nginx not reloaded yet"),
        (True, False, "not served yet", "  installed, not served yet"),
        (True, True, "served", ""),
    ],
)
def test_delivery_state_is_shown(
    program: Program, ca: FakeCa, is_reloaded: bool, is_served: bool, state: str, note: str
) -> None:
    program.configure(NAME)
    program.hide_last()
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=is_reloaded, is_served=is_served)
    assert line(program) == f"{state}  {NAME}  {DATES}{note}"
    # No handshake can show whether nginx serves it; what it has not loaded, it does not serve.
    assert program.run("status", "--check").exit_code == (0 if is_reloaded else 1)


def test_check_reports_files_that_cannot_be_used(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    program.hide_last()
    record(program, install(program, ca.pair(dns(NAME))), is_reloaded=True, is_served=True)
    live = program.certificates_dir / "live" / NAME
    (live / "privkey.pem").write_bytes(ca.pair(dns(NAME)).certificate_key_pem)
    finished = program.run("status", "--check")
    assert finished.exit_code == 1
    assert f"{NAME}: {live} holds no usable certificate: " in finished.err


def test_check_asks_nginx(program: Program, ca: FakeCa) -> None:
    port = free_port()
    program.configure(NAME)
    program.config.write_text(f"{program.config.read_text()}\nhttps_addresses = ['127.0.0.1:{port}']")
    record(program, install(program, ca.pair(dns(NAME))), is_reloaded=True, is_served=True)
    finished = program.run("status", "--check")
    assert finished.exit_code == 1
    assert f"no TLS handshake for {NAME} at 127.0.0.1:{port}" in finished.err


def test_certificate_that_no_handshake_shows_is_installed(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    write(program, lambda state: state.deliveries.record_check(Check(NAME, version, Seen.HIDDEN, NOW)))
    assert line(program) == f"installed  {NAME}  {DATES}  installed, no handshake can show it"
    assert "certificate_served{" not in program.run("status", "--prometheus").out


def test_expiry_of_what_clients_get_is_shown(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    until = NOW + 5 * 24 * HOUR
    check = Check(NAME, version, Seen.WRONG, NOW, until - 90 * 24 * HOUR, until)
    write(program, lambda state: state.deliveries.record_check(check))
    write(program, lambda state: state.schedules.record_schedule(schedule(version)))
    shown_line = line(program)
    assert shown_line.startswith(f"expiring  {NAME}  {DATES}")
    assert f"clients get a certificate that expires on {until:%Y-%m-%d}" in shown_line


def test_unverified_certificate_is_not_called_served(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    install(program, ca.pair(dns(NAME)))
    assert line(program) == f"not served yet  {NAME}  {DATES}  installed, not verified to be served"


def test_expired_outweighs_served(program: Program) -> None:
    program.configure(NAME)
    version = install(program, FakeCa(NOW - timedelta(days=91)).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    assert line(program).startswith(f"expired  {NAME}  {NOW - timedelta(days=1) - HOUR:%Y-%m-%d} (1 day ago)")
    assert shown(program)[-1] == "Next: sudo wellkeeper renew"


def test_version_that_nginx_refused_is_reported(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    install(program, ca.pair(dns(NAME)))
    record(program, "20990101T000000Z-00000000")
    assert line(program) == f"not served yet  {NAME}  {DATES}  an older version, nginx refused the newer one"


def test_certificate_with_a_schedule_is_not_read(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    write(program, lambda state: state.schedules.record_schedule(schedule(version)))
    (program.certificates_dir / "live" / NAME / "fullchain.pem").write_text("nothing of ours")
    assert line(program) == f"served  {NAME}  {DATES}"


def test_failures_rehearsals_and_limits_are_shown(program: Program, ca: FakeCa) -> None:
    program.configure(NAME, more=LIMITED)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)

    async def fill(state: State) -> None:
        await state.schedules.record_failure(FAILURE)
        await state.notes.record_rehearsal(Rehearsal(NAME, NOW, False, "nginx -t"))
        uses = [(Scope.ACCOUNT, ""), (Scope.ACCOUNT, ""), (Scope.IDENTIFIER, NAME)]
        await state.ledger.record_uses([Use(UNREACHABLE_CA, Spent.ORDER, scope, value, NOW) for scope, value in uses])

    write(program, fill)
    assert line(program).endswith(
        f"{DATES}  not due, but its last renewal failed: order: no (2 times in a row)"
        f"; next try at {NOW + HOUR:%Y-%m-%d %H:%M:%S} UTC; the rehearsal of {NOW:%Y-%m-%d} failed"
    )
    free_at = f"{NOW + HOUR:%Y-%m-%d %H:%M} UTC"
    assert shown(program)[3:] == [
        f"test: 1 of 3 left (order per account), one more from {free_at} on",
        "daemon: not running",
    ]
    reported = program.run("status", "--json").json()
    assert reported["limits"][0] == {
        "ca": "test",
        "spent": "order",
        "scope": "account",
        "value": "",
        "used": 2,
        "left": 1,
        "count": 3,
        "seconds": 3600.0,
        "free_at": (NOW + HOUR).isoformat(),
    }
    assert [(one["scope"], one["left"]) for one in reported["limits"]] == [("account", 1), ("identifier", 9)]


def test_identifiers_are_in_the_order_of_the_settings(program: Program, ca: FakeCa) -> None:
    program.configure(more=f"[[certificates]]\nidentifiers = ['{NAME}', '2.example', '1.example']")
    wanted = [NAME, "2.example", "1.example"]

    def reported(command: str) -> list[str]:
        found: list[str] = program.run(command, "--json").json()["certificates"][0]["identifiers"]
        return found

    assert reported("status") == reported("list") == wanted
    install(program, ca.pair(*map(dns, wanted)))
    assert reported("status") == wanted
    install(program, ca.pair(*map(dns, ("2.example", "9.example", NAME, "8.example"))))
    assert reported("status") == [NAME, "2.example", "8.example", "9.example"]


def test_daemon_is_shown_with_its_pid_and_its_next_work(program: Program) -> None:
    program.configure(NAME)
    program.make_keys()

    async def look() -> tuple[str, object]:
        async with LocalOwnership(program.state_dir).hold("run"):
            text = await asyncio.to_thread(program.run, "status")
            return text.out, (await asyncio.to_thread(program.run, "status", "--json")).json()["daemon"]

    text, reported = asyncio.run(look())
    assert text.endswith(f"daemon: running, pid {os.getpid()}\n")
    expected = {"pid": os.getpid(), "is_restart_needed": False, "findings": []}
    assert reported == expected | dict.fromkeys(("checked_at", "heartbeat", "endpoint_problem"))
    assert program.run("status", "--json").json()["daemon"] is None


def test_check_fails_when_nothing_is_configured(program: Program) -> None:
    program.configure()
    assert program.run("status", "--check").exit_code == 1
    assert program.run("status").exit_code == 0
