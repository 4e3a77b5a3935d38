"""Targets of notifications in `status`, in JSON, in metrics, for `status --check` and for doctor."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import NAME, write
from tests.promtool import complaints
from wellkeeper_issuer.doctor.notifications import check_notifications
from wellkeeper_issuer.messages import Backlog, Message
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Notice
from wellkeeper_issuer.status.targets import failing, long_failing
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.findings import Verdict

NOW = SystemClock().now()
CHAT = "[[notifications.webhooks]]\nname = 'chat'\nurl = 'http://127.0.0.1:1/'\n"
MAIL = "[[notifications.mail]]\nname = 'admin'\nserver = 'a.example:25'\nsender = 'w@a.example'\n"
FAILED = Message("1", Notice.FAILURE, "web", "why", NOW)


@pytest.fixture
def failing_for(program: Program) -> Program:
    """Return the program with two targets, of which `chat` has failed for two hours."""
    program.configure(NAME, more=f"{CHAT}{MAIL}recipients = ['b@a.example']")
    program.make_keys()

    async def fill(state: State) -> None:
        await state.outbox.put(FAILED, ["chat", "gone"], 10)
        await state.outbox.record_trouble("chat", "it is away", NOW - timedelta(hours=2))

    write(program, fill)
    return program


def test_status_and_check_name_the_target_that_fails(failing_for: Program) -> None:
    since = f"{NOW - timedelta(hours=2):%Y-%m-%d %H:%M} UTC"
    line = f"notifications to chat have failed since {since}, 1 message waits: it is away"
    finished = failing_for.run("status", "--check")
    assert finished.exit_code == 1
    assert line in finished.out.splitlines()
    assert line in finished.err.splitlines()


def test_json_has_every_target_of_the_settings(failing_for: Program) -> None:
    chat, admin = failing_for.run("status", "--json").json()["notifications"]
    since = (NOW - timedelta(hours=2)).isoformat(timespec="seconds")
    assert chat == {"name": "chat", "waiting": 1, "failing_since": since, "error": "it is away"}
    assert admin == {"name": "admin", "waiting": 0, "failing_since": None, "error": None}


def test_metrics_have_every_target_of_the_settings(failing_for: Program) -> None:
    metrics = failing_for.run("status", "--prometheus").out
    assert 'wellkeeper_notifications_waiting{target="chat"} 1.0' in metrics
    assert 'wellkeeper_notifications_waiting{target="admin"} 0.0' in metrics
    assert 'wellkeeper_notifications_failing_since_seconds{target="chat"}' in metrics
    assert 'wellkeeper_notifications_oldest_at_seconds{target="chat"}' in metrics
    assert 'wellkeeper_notifications_oldest_at_seconds{target="admin"}' not in metrics
    assert 'wellkeeper_notifications_failing_since_seconds{target="admin"}' not in metrics
    assert complaints(metrics) == ""


def test_doctor_reports_the_target_that_fails(failing_for: Program) -> None:
    found = failing_for.run("doctor", "--offline", "--json").json()["findings"]
    verdicts = {one["subject"]: (one["verdict"], one["cause"]) for one in found if one["check"] == "notifications"}
    fine = "no notification has failed for an hour"
    assert verdicts == {"chat": ("fail", "it is away"), "admin": ("ok", fine)}


def test_doctor_skips_what_the_settings_or_the_state_lack(program: Program) -> None:
    program.configure(NAME)
    assert cause_of(program) == ["no notification targets are configured"]
    program.configure(NAME, more=CHAT)
    program.make_keys()
    (program.state_dir / "state.db").write_bytes(b"nothing of ours" * 100)
    assert cause_of(program)[0].startswith(f"cannot use {program.state_dir}/state.db: ")


def cause_of(program: Program) -> Sequence[str]:
    found = program.run("doctor", "--offline", "--json").json()["findings"]
    return [one["cause"] for one in found if (one["check"], one["verdict"]) == ("notifications", "skipped")]


async def test_short_outage_is_no_failure() -> None:
    targets = {"chat": Backlog(2, NOW - timedelta(minutes=59), "it is away"), "admin": Backlog(1)}
    assert long_failing(targets, NOW) == {}
    assert [one.split(", ")[1] for one in failing(targets)] == ["2 messages wait: it is away"]
    assert [one.verdict for one in await check_notifications(targets, NOW)] == [Verdict.OK, Verdict.OK]
