"""why: sentences that explain the status of one certificate."""

import asyncio
import os
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import UNREACHABLE_CA, Program
from tests.issuer.commands.statuses import (
    ATTEMPT,
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
from wellkeeper_issuer.outside.state.lock import LocalOwnership
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Blocked, Failure, Rehearsal, Rule, Schedule, Window
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import Flip

NEXT_RUN = "the next 'wellkeeper renew' (no daemon is running)"


def at(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


ISSUED = f"issued by Fake Intermediate (the CA test), valid from {at(NOW - HOUR)} until {at(UNTIL)}, in 89 days"
WINDOW = f"the CA's suggested window begins at {at(RENEWED - HOUR)} and ends at {at(RENEWED + HOUR)}"
ASKED = "The CA gave no usable renewal info (RFC 9773)"


def reported(program: Program) -> list[str]:
    finished = program.run("why", NAME)
    assert finished.exit_code == 0
    return finished.out.splitlines()


def served(program: Program, changed: Schedule | None = None) -> str:
    """Install, deliver and schedule a version, and return it."""
    program.configure(NAME, more=LIMITED)
    version = install(program, FakeCa(NOW).pair(dns(NAME)))
    record(program, version, is_reloaded=True, is_served=True)
    plan = replace(changed, version=version) if changed else schedule(version)
    write(program, lambda state: state.schedules.record_schedule(plan))
    return version


def test_unknown_name_is_refused(program: Program) -> None:
    program.configure(NAME)
    finished = program.run("why", "other")
    assert (finished.exit_code, finished.out) == (2, "")
    assert "no certificate is named 'other'" in finished.err


def test_missing_certificate_is_explained(program: Program) -> None:
    program.configure(NAME)
    assert reported(program) == [
        f"Certificate {NAME} is configured for {NAME}.",
        "No certificate is installed yet.",
        f"Due now: no certificate yet. Run 'wellkeeper renew {NAME}'.",
    ]


def test_served_certificate_is_explained(program: Program) -> None:
    version = served(program)
    assert reported(program) == [
        f"Certificate {NAME} is configured for {NAME}.",
        f"Version {version} is live: {ISSUED}.",
        "nginx serves it.",
        f"It will be renewed from {at(RENEWED)} on (in 59 days): {WINDOW} (see https://ca.example/why).",
        f"The window is from the CA's last renewal info (RFC 9773); Wellkeeper asks again at {at(NOW + HOUR)}.",
        f"Nothing to do before {at(NOW + HOUR)}; then it is up to {NEXT_RUN}.",
    ]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            replace(schedule(""), directory_url=""),
            "Wellkeeper cannot ask for renewal info (RFC 9773): it does not know which CA issued this certificate.",
        ),
        (
            replace(schedule(""), certificate_id=None),
            "Wellkeeper cannot ask for renewal info (RFC 9773): the certificate does not name its authority key.",
        ),
        (
            replace(schedule(""), unanswered=1),
            f"{ASKED} once; Wellkeeper asks again at {at(NOW + HOUR)}.",
        ),
        (
            replace(schedule(""), unanswered=3, ask_at=None),
            f"{ASKED} 3 times in a row.",
        ),
        (
            replace(schedule(""), rule=Rule.LIFETIME, window=None),
            f"The CA has not yet suggested a window (RFC 9773); Wellkeeper asks again at {at(NOW + HOUR)}.",
        ),
        (
            replace(schedule(""), window=Window(UNTIL, UNTIL + HOUR)),
            "The CA explains its window at https://ca.example/why.",
        ),
    ],
    ids=["unknown CA", "no name", "once", "thrice", "no window", "safety net"],
)
def test_answer_of_the_ca_is_explained(program: Program, changed: Schedule, sentence: str) -> None:
    served(program, changed)
    assert sentence in reported(program)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rule.REVOKED, f"it was revoked at {at(NOW)}"),
        (
            Rule.RESTORED,
            "it was renewed after the backup: nodes have a newer version, which this restored host does not",
        ),
    ],
    ids=["revoked", "restored"],
)
def test_certificate_that_must_be_replaced_has_no_next_renewal_info_request(
    program: Program, rule: Rule, reason: str
) -> None:
    served(program, replace(schedule(""), rule=rule, renew_at=NOW, ask_at=None, window=None, explanation_url=None))
    sentences = reported(program)
    assert sentences[-1] == f"Due now: {reason}. Run 'wellkeeper renew {NAME}'."
    assert "RFC 9773" not in " ".join(sentences)


def test_failure_and_the_delay_of_the_next_try_are_explained(program: Program) -> None:
    window = Window(NOW - HOUR, NOW + HOUR)
    version = served(program, replace(schedule(""), renew_at=NOW, window=window, explanation_url=None))
    due = f"the CA's suggested window began at {at(window.start)} and ends at {at(window.end)}"

    async def fill(state: State) -> None:
        await state.schedules.record_failure(FAILURE)
        await state.ledger.record_block(Blocked(UNREACHABLE_CA, "", NOW + 3 * HOUR, "busy"))
        await state.ledger.record_block(Blocked(UNREACHABLE_CA, NAME, NOW - 3 * HOUR, "long ago"))
        await state.vetoes.record_vetoes(NAME, {"n1": NOW + HOUR, "n2": NOW + 2 * HOUR})
        await state.notes.record_rehearsal(Rehearsal(NAME, NOW, False, "nginx -t"))

    write(program, fill)
    assert reported(program)[5:] == [
        f"It failed 2 times in a row since {at(NOW - 2 * HOUR)}, last at {at(NOW - HOUR)} in the stage order: no",
        f"Wellkeeper sends no orders to the CA test until {at(NOW + 3 * HOUR)}: busy.",
        f"The read-back through nginx fails; from {at(NOW + 2 * HOUR)} on, Wellkeeper asks the CA anyway.",
        f"The last rehearsal, at {at(NOW)}, failed: nginx -t.",
        f"Due: {due}. Next try: {at(NOW + 3 * HOUR)}, by {NEXT_RUN}. Run 'wellkeeper renew {NAME}' to retry now.",
    ]
    found = program.run("why", NAME, "--json").json()
    assert (found["name"], found["version"], found["why"]) == (NAME, version, reported(program))
    assert found["wake_at"] == (NOW + 3 * HOUR).isoformat()


def test_permanent_failure_is_explained(program: Program) -> None:
    served(program)
    failure = Failure(NAME, 1, "order", "refused", Retry.NEVER, NOW, NOW, NOW + 24 * HOUR)
    write(program, lambda state: state.schedules.record_failure(failure))
    sentences = reported(program)
    assert f"It failed once, last at {at(NOW)} in the stage order: refused" in sentences
    assert "Retrying will not help until this is fixed." in " ".join(sentences)


def test_missing_server_block_is_left_to_the_administrator(program: Program) -> None:
    version = served(program)
    record(program, version, is_reloaded=True)
    write(program, lambda state: state.notes.forget_owed_hook(NAME))
    assert reported(program)[-1].startswith(
        "To do: add the certificate to a server block of nginx ('wellkeeper trust' prints"
    )


def test_reason_of_a_block_is_not_repeated(program: Program) -> None:
    program.configure(NAME)

    async def fill(state: State) -> None:
        await state.schedules.record_failure(Failure(NAME, 1, "order", "refused", Retry.SOON, NOW, NOW, NOW + HOUR))
        await state.ledger.record_block(Blocked(UNREACHABLE_CA, "", NOW + HOUR, "the CA is unavailable: refused"))

    write(program, fill)
    assert f"Wellkeeper sends no orders to the CA 127.0.0.1 until {at(NOW + HOUR)}." in reported(program)


def test_placeholder_is_explained(program: Program) -> None:
    program.configure(NAME)
    version = install(program, make_self_signed([dns(NAME)], 7, NOW))
    assert reported(program)[1:] == [
        f"The live version {version} is a placeholder.",
        f"Due now: only a self-signed placeholder is installed. Run 'wellkeeper renew {NAME}'.",
    ]


def test_unreadable_certificate_is_explained(program: Program) -> None:
    version = served(program)
    (program.certificates_dir / "live" / NAME / "fullchain.pem").write_text("nothing of ours")
    assert f"The live version {version} cannot be read." in reported(program)


def test_expired_certificate_is_explained(program: Program) -> None:
    program.configure(NAME)
    install(program, FakeCa(NOW - timedelta(days=91)).pair(dns(NAME)))
    sentences = reported(program)
    assert "1 day ago." in sentences[1]
    assert sentences[2] == "It has expired."


def test_running_daemon_is_mentioned(program: Program) -> None:
    program.configure(NAME)
    program.make_keys()

    async def look() -> str:
        async with LocalOwnership(program.state_dir).hold("run"):
            return (await asyncio.to_thread(program.run, "why", NAME)).out

    who = f"the daemon (pid {os.getpid()}) does it within a minute"
    assert f"Due now: no certificate yet; {who}." in asyncio.run(look())


@pytest.mark.parametrize("is_configured", [True, False])
def test_hook_is_mentioned_only_when_one_is_configured(program: Program, *, is_configured: bool) -> None:
    program.configure(NAME, more="[hooks]\ndeploy = ['true']" if is_configured else "")
    version = install(program, FakeCa(NOW).pair(dns(NAME)))

    async def deliver_without_hook(state: State) -> None:
        await state.attempts.record_attempt(ATTEMPT)
        await state.deliveries.record_flip(Flip(NAME, None, version))
        await state.deliveries.record_reloaded([NAME])
        await state.deliveries.record_served(NAME)

    write(program, deliver_without_hook)
    assert ("hook" in program.run("why", NAME).out) == is_configured
