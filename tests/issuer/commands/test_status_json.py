"""status --json: one object with all records."""

from datetime import timedelta

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.commands.statuses import FAILURE, HOUR, NAME, NOW, RENEWED, UNTIL, install, record, schedule, write
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_node.certificates import reading


def test_object_contains_all_records(program: Program) -> None:
    program.configure(NAME)
    pair = FakeCa(NOW).pair(dns(NAME))
    version = install(program, pair)
    record(program, version, is_reloaded=True, is_served=True, is_under_way=True)

    async def fill(state: State) -> None:
        await state.schedules.record_schedule(schedule(version))
        await state.schedules.record_failure(FAILURE)
        await state.notes.record_rehearsal(Rehearsal(NAME, NOW, True, "every step succeeded"))

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
            "checked_at": NOW.isoformat(),
            "served_not_after": None,
            "not_after": UNTIL.isoformat(),
            "renew_at": RENEWED.isoformat(),
            "schedule": {
                "directory_url": UNREACHABLE_CA,
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
            "rehearsal": {"at": NOW.isoformat(), "is_well": True, "detail": "every step succeeded"},
        }
    ]


def test_json_and_prometheus_exclude_each_other(program: Program) -> None:
    program.configure(NAME)
    finished = program.run("status", "--json", "--prometheus")
    assert (finished.exit_code, finished.err) == (2, "")
    assert "--json, --prometheus and --html cannot be combined" in finished.json()["error"]["what"]
