"""The steps of a renewal."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.issuer.commands.site.views import DAY, NOW, missing, served
from wellkeeper_issuer.commands.site.timeline import of_attempt, of_version
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Shown
from wellkeeper_node.happened import Author, What
from wellkeeper_node.history import Entry

DETAILS = {"version": "1", "ca": "https://ca.example/directory", "reason": "due", "serial": "ab", "names": "a.example"}
FETCHED = {
    "fetched_by": "192.0.2.1, 192.0.2.2",
    "seconds": "order 1.0, publish 2.0, validate 3.0, finalize 4.0, install 0.0",
}


def entry(what: What, details: Mapping[str, str], after: timedelta = timedelta()) -> Entry:
    return Entry(NOW - DAY + after, what, "a.example", details, Author("root", "wellkeeper run"))


ISSUED = entry(What.CERTIFICATE_ISSUED, DETAILS | FETCHED)
DELIVERED = entry(What.CERTIFICATE_DELIVERED, {"node": "local", "version": "1"}, timedelta(seconds=5))


def in_state(state: State) -> Shown:
    one = served("a.example")
    return replace(one, status=replace(one.status, state=state))


def by_title(one: Shown, *entries: Entry) -> Mapping[str, Any]:
    return {step.title: (step.level, step.at, step.detail) for step in of_version(one, entries)}


def test_served_version_has_the_time_and_place_of_each_step() -> None:
    seconds = timedelta(seconds=1)
    installed, delivered = ISSUED.at, DELIVERED.at
    assert by_title(in_state(State.SERVED), ISSUED, DELIVERED) == {
        "Ordered": ("good", installed - 9 * seconds, "https://ca.example/directory (due)"),
        "Published": ("good", installed - 7 * seconds, ""),
        "Fetched by the CA": ("good", None, "from 192.0.2.1, 192.0.2.2"),
        "Validated": ("good", installed - 4 * seconds, "a.example"),
        "Issued": ("good", installed, "serial ab"),
        "Installed": ("good", installed, "version 1"),
        "Reloaded": ("good", delivered, ""),
        "Served": ("good", delivered, "last verified at 2026-03-01 12:00 UTC"),
    }


def test_authorizations_that_were_still_valid_need_no_token() -> None:
    found = by_title(
        in_state(State.SERVED), entry(What.CERTIFICATE_ISSUED, DETAILS | {"seconds": "order 1.0, finalize 1.0"})
    )
    valid = ("open", None, "not needed: the CA's authorizations were still valid")
    assert [found[title] for title in ("Published", "Fetched by the CA", "Validated")] == [valid] * 3


def test_version_whose_pass_was_killed_after_it_was_issued_has_no_reason_for_missing_times() -> None:
    found = by_title(in_state(State.SERVED), entry(What.CERTIFICATE_ISSUED, DETAILS | {"seconds": "install 0.0"}))
    assert [found[title] for title in ("Published", "Validated")] == [("good", None, ""), ("good", None, "a.example")]


@pytest.mark.parametrize(
    "details", [DETAILS, DETAILS | {"seconds": "order x, <b> 1, validate"}], ids=["older version", "damaged"]
)
def test_event_without_times_shows_what_it_has(details: Mapping[str, str]) -> None:
    found = by_title(in_state(State.SERVED), entry(What.CERTIFICATE_ISSUED, details))
    assert found["Ordered"] == ("good", None, "https://ca.example/directory (due)")
    assert found["Fetched by the CA"] == ("open", None, "no responder reported it")


def test_version_that_the_history_does_not_have_begins_with_its_date() -> None:
    others = (
        entry(What.CERTIFICATE_ISSUED, DETAILS | {"version": "0"}),
        entry(What.CERTIFICATE_DELIVERED, {"node": "web2", "version": "1"}),
    )
    found = by_title(in_state(State.SERVED), *others)
    assert list(found) == ["Issued", "Reloaded", "Served"]
    assert found["Issued"] == ("good", NOW - 30 * DAY, "the history does not have its order")
    assert found["Reloaded"] == ("good", None, "")


@pytest.mark.parametrize(
    ("state", "levels"),
    [
        (State.NOT_RELOADED, ["now", "open"]),
        (State.HIDDEN, ["good", "open"]),
        (State.NOT_SERVED, ["good", "bad"]),
        (State.REFUSED, ["good", "bad"]),
        (State.UNPROVEN, ["good", "open"]),
        (State.EXPIRED, ["good", "good"]),
    ],
)
def test_last_steps_are_what_is_known_now(state: State, levels: list[str]) -> None:
    assert [step.level for step in of_version(in_state(state), [ISSUED])][-2:] == levels


def test_certificate_without_a_check_was_never_verified() -> None:
    assert by_title(replace(in_state(State.SERVED), check=None), ISSUED)["Served"] == ("good", None, "")


@pytest.mark.parametrize("one", [missing("a.example"), in_state(State.PLACEHOLDER)], ids=["none", "placeholder"])
def test_nothing_is_live(one: Shown) -> None:
    assert of_version(one, [ISSUED]) == []


def test_step_in_progress_is_between_those_done_and_those_to_come() -> None:
    found = [(step.title, step.level) for step in of_attempt("validate", None)]
    assert found[:3] == [("Ordered", "good"), ("Published", "good"), ("Validated", "now")]
    assert {level for _, level in found[3:]} == {"open"}


def test_failed_step_has_its_message_and_time() -> None:
    failure = missing("a.example", "the CA did not accept it").status.failure
    assert failure is not None
    first, *others = of_attempt("order", failure)
    assert (first.level, first.at, first.detail) == ("bad", failure.last_at, "the CA did not accept it")
    assert len(others) == 7


def test_failure_elsewhere_has_no_steps() -> None:
    assert of_attempt("deploy", None) == []


def test_delivered_version_begins_with_its_installation() -> None:
    one = in_state(State.SERVED)
    external = replace(one, lineage=replace(one.lineage, is_external=True))
    found = by_title(external, entry(What.CERTIFICATE_ISSUED, DETAILS | {"seconds": "install 0.0"}), DELIVERED)
    assert list(found) == ["Installed", "Reloaded", "Served"]
    assert found["Installed"] == ("good", ISSUED.at, "delivered by another client")
    assert by_title(external)["Installed"] == ("good", None, "delivered by another client")


def test_delivery_that_failed_shows_only_the_steps_that_it_has() -> None:
    found = [(step.title, step.level) for step in of_attempt("reload", None, is_external=True)]
    assert found == [("Installed", "good"), ("Reloaded", "now"), ("Served", "open")]
