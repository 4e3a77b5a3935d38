"""Failures that follow from others."""

import pytest

from wellkeeper_issuer.assembly.doctor import CHECKS
from wellkeeper_issuer.doctor import explained
from wellkeeper_issuer.doctor.explained import without_followers
from wellkeeper_node.findings import Finding, Verdict


def fail(check: str, subject: str = "") -> Finding:
    return Finding(check, Verdict.FAIL, subject, "it is broken", "Fix it.")


@pytest.mark.parametrize(
    ("cause", "follower"),
    [
        (fail("challenge-route", "a.example"), fail("reach", "a.example")),
        (fail("challenge-route-ipv6", "a.example"), fail("reach", "a.example")),
        (fail("nginx-process"), fail("reach", "a.example")),
        (fail("nginx-process"), fail("served", "web")),
        (fail("responder", "local"), fail("responder-reach")),
        (fail("responder-reach"), fail("reach", "a.example")),
    ],
    ids=lambda one: one.check,
)
def test_failure_is_skipped_that_another_one_explains(cause: Finding, follower: Finding) -> None:
    first, second = without_followers([cause, follower], "local", is_only=True)
    assert first == cause
    assert second.verdict is Verdict.SKIPPED
    assert (second.check, second.subject) == (follower.check, follower.subject)
    assert second.cause == f"not reported: {cause.check} explains it"


@pytest.mark.parametrize(
    "found",
    [
        [fail("challenge-route", "a.example"), fail("reach", "b.example")],
        [Finding("challenge-route", Verdict.WARN, "a.example", "c", "f."), fail("reach", "a.example")],
        [fail("responder"), Finding("reach", Verdict.OK, "a.example", "it answers")],
        [fail("reach", "a.example"), fail("dns-records", "a.example")],
        [fail("responder", "other"), fail("responder-reach")],
    ],
    ids=["another name", "a warning explains nothing", "what works", "unrelated", "another node"],
)
def test_other_findings_stay(found: list[Finding]) -> None:
    assert without_followers(found, "local", is_only=True) == found


@pytest.mark.parametrize(
    "cause", [fail("challenge-route", "a.example"), fail("responder", "other"), fail("responder-reach")]
)
@pytest.mark.parametrize("node", ["local", None])
def test_nothing_here_explains_what_may_be_the_failure_of_another_node(cause: Finding, node: str | None) -> None:
    found = [cause, fail("reach", "a.example")]
    assert without_followers(found, node, is_only=False) == found


def test_responder_of_this_node_explains_why_nginx_cannot_connect_although_there_are_others() -> None:
    found = without_followers([fail("responder", "local"), fail("responder-reach")], "local", is_only=False)
    assert [one.verdict for one in found] == [Verdict.FAIL, Verdict.SKIPPED]


def test_ids_exist() -> None:
    ids = {id_ for check in CHECKS for id_ in check.ids}
    for table in (explained.BY_SUBJECT, explained.BY_HOST):
        assert {*table, *(one for several in table.values() for one in several)} <= ids
