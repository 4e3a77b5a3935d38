"""Names that the CA refused beside names that it accepted: what the error says, and what is kept."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes_deliver import NOW, dns
from wellkeeper_issuer.errors import ChallengeError, OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.refused_names import is_about, naming_refused, with_accepted, with_names
from wellkeeper_issuer.records import Failure
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.model import Identifier, Problem

A, B, C, D, E = (dns(f"{letter}.example") for letter in "abcde")
LINEAGE = Lineage("web", (A, B, C))
FAILURE = Failure("web", 1, "validate", "no", Retry.SOON, NOW, NOW, NOW)
LATER = replace(FAILURE, count=2, last_at=NOW + timedelta(days=1))


def refusing(*identifiers: Identifier) -> ChallengeError:
    error = ChallengeError("the CA did not accept it", "timeout", "Check it.")
    error.identifiers = identifiers
    return error


@pytest.mark.parametrize(
    ("refused", "accepted", "text"),
    [
        (
            [C],
            [A, B],
            (
                "timeout; it accepted 2 other names: a.example, b.example. Check it. "
                "If c.example is gone, remove it from identifiers."
            ),
        ),
        (
            [B, C],
            [A],
            (
                "timeout; it accepted 1 other name: a.example. Check it. "
                "If b.example, c.example are gone, remove them from identifiers."
            ),
        ),
        (
            [A],
            [B, C, D, E],
            (
                "timeout; it accepted 4 other names: b.example, c.example, d.example and 1 more. Check it. "
                "If a.example is gone, remove it from identifiers."
            ),
        ),
        ([A], [], "timeout. Check it."),
        ([], [A], "timeout. Check it."),
    ],
    ids=["one", "two", "many passed", "none passed", "no verdict"],
)
def test_names_that_passed_are_reported(refused: list[Identifier], accepted: list[Identifier], text: str) -> None:
    error = with_accepted(refusing(*refused), accepted)
    assert str(error) == f"the CA did not accept it: {text}"
    assert error.accepted == (tuple(accepted) if refused else ())


def order_error(problem: Problem | None) -> WellkeeperError:
    with pytest.raises(OrderError) as caught, naming_refused(LINEAGE):
        raise OrderError("the CA refused newOrder", "rejectedIdentifier", problem=problem)
    return caught.value


def rejected(*names: str) -> Problem:
    return Problem("malformed", "some", 400, subproblems=tuple(Problem("caa", "no", identifier=name) for name in names))


def test_names_of_a_rejected_order_are_reported() -> None:
    error = order_error(rejected("b.example", "unknown.example"))
    assert (error.identifiers, error.accepted) == ((B,), (A, C))
    assert error.remedy == "If b.example is gone, remove it from identifiers."


@pytest.mark.parametrize("problem", [None, rejected(), rejected("a.example", "b.example", "c.example")])
def test_order_that_is_rejected_as_a_whole_names_none(problem: Problem | None) -> None:
    error = order_error(problem)
    assert (error.identifiers, error.accepted, error.remedy) == ((), (), "")


def test_failure_is_about_the_identifiers_that_were_ordered() -> None:
    failure = with_names(FAILURE, None, refusing(C), LINEAGE)
    assert is_about(failure, LINEAGE)
    assert is_about(failure, replace(LINEAGE, identifiers=(C, A, B)))
    assert not is_about(failure, replace(LINEAGE, identifiers=(A, B)))
    assert is_about(FAILURE, LINEAGE)  # recorded by 0.1.0


def test_same_names_are_refused_since_the_first_time() -> None:
    first = with_names(FAILURE, None, refusing(C), LINEAGE)
    assert (first.refused, first.refused_since) == (frozenset({C}), NOW)
    assert with_names(LATER, first, refusing(C), LINEAGE).refused_since == NOW
    # The CA was away meanwhile: it did not judge the names.
    unjudged = with_names(LATER, first, OrderError("no answer"), LINEAGE)
    assert (unjudged.refused, unjudged.refused_since) == (frozenset({C}), NOW)


def test_other_names_start_a_new_period() -> None:
    first = with_names(FAILURE, None, refusing(C), LINEAGE)
    second = with_names(LATER, first, refusing(B, C), LINEAGE)
    assert (second.refused, second.refused_since) == (frozenset({B, C}), LATER.last_at)
    assert with_names(FAILURE, None, OrderError("no answer"), LINEAGE).refused_since is None
