"""status: from disk alone."""

import asyncio
import os
from datetime import timedelta

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import NOBODY_THERE, Program
from tests.issuer.commands.statuses import (
    FAILURE,
    HOUR,
    LIMITED,
    NAME,
    NOW,
    RENEWED,
    UNTIL,
    install,
    record,
    schedule,
    write,
)
from wellkeeper_issuer import pki
from wellkeeper_issuer.outside.state.lock import LocalOwnership
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Blocked, Failure, Rehearsal, Scope, Spent, Use
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import Retry


@pytest.fixture
def ca() -> FakeCa:
    return FakeCa(NOW)


def line(program: Program) -> str:
    """All but the line about the daemon."""
    finished = program.run("status")
    assert finished.exit_code == 0
    assert finished.out.endswith("daemon: not running\n")
    return finished.out.removesuffix("daemon: not running\n").strip()


def test_nothing_configured(program: Program) -> None:
    program.configure()
    assert line(program) == "the settings name no certificate; 'wellkeeper certificate add' adds one"


def test_nothing_there(program: Program) -> None:
    program.configure(NAME)
    assert line(program) == f"{NAME}: missing: run renew"
    assert program.run("status", "--json").json() == {
        "schema_version": 1,
        "is_reload_needed": False,
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
                "renew_at": None,
                "schedule": None,
                "failure": None,
                "rehearsal": None,
            }
        ],
        "daemon": None,
        "limits": [],
    }
    assert not program.state_dir.exists()


def test_placeholder(program: Program) -> None:
    program.configure(NAME)
    install(program, pki.make_self_signed([dns(NAME)], 7, NOW))
    assert line(program) == f"{NAME}: placeholder: run renew, valid until {NOW + timedelta(days=7):%Y-%m-%d}"
    (reported,) = program.run("status", "--json").json()["certificates"]
    assert (reported["state"], reported["to_do"]) == ("placeholder", "only a self-signed placeholder is installed")
    assert (reported["not_after"], reported["renew_at"]) == ((NOW + timedelta(days=7)).isoformat(), None)


def test_what_has_to_wait_for_its_ca_is_told(program: Program) -> None:
    program.configure(NAME)
    until = NOW + timedelta(hours=1)
    write(program, lambda state: state.ledger.record_block(Blocked(NOBODY_THERE, NAME, until, "all are used")))
    assert line(program) == (
        f"{NAME}: missing; it has to wait until {until:%Y-%m-%d %H:%M:%S} UTC; 'wellkeeper why {NAME}' says more"
    )


def test_what_waits_for_its_next_try_is_not_to_be_run_now(program: Program) -> None:
    program.configure(NAME)
    failure = Failure(NAME, 1, "order", "no", Retry.SOON, NOW, NOW, NOW + timedelta(hours=1))
    write(program, lambda state: state.schedules.record_failure(failure))
    assert line(program).startswith(f"{NAME}: missing; failed once (order), next try at ")


def test_next_try_that_is_over_is_not_told(program: Program) -> None:
    program.configure(NAME)
    failure = Failure(NAME, 1, "order", "no", Retry.SOON, NOW - 2 * HOUR, NOW - 2 * HOUR, NOW - HOUR)
    write(program, lambda state: state.schedules.record_failure(failure))
    assert line(program) == f"{NAME}: missing: run renew; failed once (order); 'wellkeeper why {NAME}' says more"


@pytest.mark.parametrize(
    ("is_reloaded", "is_served", "state"),
    [
        (False, False, "installed, nginx not reloaded yet: run renew"),
        (True, False, "installed, not served yet"),
        (True, True, "served"),
    ],
)
def test_states_of_a_delivery(program: Program, ca: FakeCa, is_reloaded: bool, is_served: bool, state: str) -> None:
    program.configure(NAME)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=is_reloaded, is_served=is_served)
    assert line(program) == f"{NAME}: {state}, valid until {UNTIL:%Y-%m-%d}, renewed from {RENEWED:%Y-%m-%d}"
    assert program.run("status", "--check").exit_code == (0 if is_served else 1)


def test_what_nobody_proved_is_not_called_served(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    install(program, ca.pair(dns(NAME)))
    assert line(program).startswith(f"{NAME}: installed, never proven to be served: run renew")


def test_expired_is_said_before_all_else(program: Program) -> None:
    program.configure(NAME)
    version = install(program, FakeCa(NOW - timedelta(days=91)).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    assert line(program).startswith(f"{NAME}: expired: run renew, valid until ")


def test_version_that_nginx_refused_is_told(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    install(program, ca.pair(dns(NAME)))
    record(program, "20990101T000000Z-00000000")
    assert line(program).startswith(f"{NAME}: an older version, nginx refused the newer one: run renew")


def test_what_is_scheduled_is_shown_without_a_look_at_the_certificate(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    write(program, lambda state: state.schedules.record_schedule(schedule(version)))
    (program.certificates_dir / "live" / NAME / "fullchain.pem").write_text("nothing of ours")
    assert line(program) == f"{NAME}: served, valid until {UNTIL:%Y-%m-%d}, renewed from {RENEWED:%Y-%m-%d}"


def test_failure_rehearsal_and_limits_are_told(program: Program, ca: FakeCa) -> None:
    program.configure(NAME, more=LIMITED)
    version = install(program, ca.pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)

    async def fill(state: State) -> None:
        await state.schedules.record_failure(FAILURE)
        await state.notes.record_rehearsal(Rehearsal(NAME, NOW, False, "nginx -t"))
        uses = [(Scope.ACCOUNT, ""), (Scope.ACCOUNT, ""), (Scope.IDENTIFIER, NAME)]
        await state.ledger.record_uses([Use(NOBODY_THERE, Spent.ORDER, scope, value, NOW) for scope, value in uses])

    write(program, fill)
    first, second = line(program).splitlines()
    assert first.endswith(
        f"; failed 2 times in a row (order), next try at {NOW + HOUR:%Y-%m-%d %H:%M:%S} UTC"
        f"; the rehearsal of {NOW:%Y-%m-%d} failed; 'wellkeeper why {NAME}' says more"
    )
    free_at = f"{NOW + HOUR:%Y-%m-%d %H:%M} UTC"
    assert second == f"test: 1 of 3 left (order per account), the next one comes back at {free_at}"
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


def test_json(program: Program, ca: FakeCa) -> None:
    program.configure(NAME)
    pair = ca.pair(dns(NAME))
    version = install(program, pair)
    record(program, version, is_reloaded=True, is_served=True, is_under_way=True)

    async def fill(state: State) -> None:
        await state.schedules.record_schedule(schedule(version))
        await state.schedules.record_failure(FAILURE)
        await state.notes.record_rehearsal(Rehearsal(NAME, NOW, True, "all well"))

    write(program, fill)
    certificate = reading.read_certificate(pair.chain_pem)
    assert program.run("status", "--json").json()["certificates"] == [
        {
            "name": NAME,
            "state": "served",
            "is_renewal_under_way": True,
            "to_do": None,
            "next_try_at": (NOW + HOUR).isoformat(),
            "version": version,
            "identifiers": [NAME],
            "serial": certificate.serial,
            "fingerprint_sha256": certificate.fingerprint_sha256,
            "issued_by": "Fake Intermediate",
            "not_before": (UNTIL - timedelta(days=90)).isoformat(),
            "not_after": UNTIL.isoformat(),
            "renew_at": RENEWED.isoformat(),
            "schedule": {
                "directory_url": NOBODY_THERE,
                "rule": "ari",
                "window": {"start": (RENEWED - HOUR).isoformat(), "end": (RENEWED + HOUR).isoformat()},
                "explanation_url": "https://ca.example/why",
                "ask_at": (NOW + HOUR).isoformat(),
            },
            "failure": {
                "count": 2,
                "stage": "order",
                "message": "no",
                "problem": "rateLimited",
                "retry": "later",
                "first_at": (NOW - 2 * HOUR).isoformat(),
                "last_at": (NOW - HOUR).isoformat(),
                "next_try_at": (NOW + HOUR).isoformat(),
            },
            "rehearsal": {"at": NOW.isoformat(), "is_well": True, "detail": "all well"},
        }
    ]


def test_daemon_is_told_with_its_pid_and_not_waited_for(program: Program) -> None:
    program.configure(NAME)
    program.make_keys()

    async def look() -> tuple[str, object]:
        async with LocalOwnership(program.state_dir).hold("run"):
            text = await asyncio.to_thread(program.run, "status")
            return text.out, (await asyncio.to_thread(program.run, "status", "--json")).json()["daemon"]

    text, reported = asyncio.run(look())
    assert text.endswith(f"daemon: running, pid {os.getpid()}\n")
    assert reported == {"pid": os.getpid()}
    assert program.run("status", "--json").json()["daemon"] is None


def test_damaged_journal_is_told(program: Program) -> None:
    program.configure(NAME)
    program.make_keys()
    (program.state_dir / "state.db").write_bytes(b"nothing of ours" * 100)
    finished = program.run("status")
    assert finished.exit_code == 1
    assert finished.err.startswith(f"wellkeeper: {program.state_dir}/state.db: ")
    assert "the file is damaged: restore it from a backup, or move it" in finished.err


def test_check_fails_when_nothing_is_configured(program: Program) -> None:
    program.configure()
    assert program.run("status", "--check").exit_code == 1
    assert program.run("status").exit_code == 0


def test_two_forms_at_once_are_a_mistake(program: Program) -> None:
    program.configure(NAME)
    finished = program.run("status", "--json", "--prometheus")
    assert (finished.exit_code, finished.err) == (2, "")
    assert finished.json()["error"]["what"] == "--json and --prometheus are two forms of the same: give one of them"
