"""Name the identifiers that the CA refused and those that it accepted, and keep which of them fail for how long.

A failure belongs to the identifiers that were ordered: it says nothing about another set.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Failure
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import Identifier, Problem
from wellkeeper_node.wording import counted

E = TypeVar("E", bound=WellkeeperError)

_SHOWN: Final = 3


def with_accepted(error: E, accepted: Sequence[Identifier]) -> E:
    """Return the error, completed by the names that the CA accepted and by the way to go on without the others."""
    if error.identifiers and accepted:
        error.accepted = tuple(accepted)
        error.why = f"{error.why}; it accepted {counted(len(accepted), 'other name')}: {listed(accepted)}"
        error.remedy = f"{error.remedy} {how_to_remove(error.identifiers)}".strip()
    return error


@contextmanager
def naming_refused(lineage: Lineage) -> Iterator[None]:
    """Complete the error of an order by the names that its problem document is about, unless these are all."""
    try:
        yield
    except WellkeeperError as error:
        values = set(_values(error.problem)) if error.problem else set()
        refused = tuple(one for one in lineage.identifiers if one.value in values)
        if refused and not error.identifiers and len(refused) < len(lineage.identifiers):
            error.identifiers = refused
            error.accepted = tuple(one for one in lineage.identifiers if one not in refused)
            error.remedy = f"{error.remedy} {how_to_remove(refused)}".strip()
        raise


def is_about(failure: Failure, lineage: Lineage) -> bool:
    """Return True if these identifiers failed; a failure that 0.1.0 recorded may be about any."""
    return failure.identifiers in {frozenset(), frozenset(lineage.identifiers)}


def with_names(failure: Failure, earlier: Failure | None, error: WellkeeperError, lineage: Lineage) -> Failure:
    """Return the failure with its identifiers, those that the CA refused, and since when it refuses the same ones.

    `earlier` is the failure before in the series. One in which the CA did not judge the names changes nothing.
    """
    refused: frozenset[Identifier] = frozenset(error.identifiers)
    since: datetime | None = failure.last_at if refused else None
    if earlier is not None and (not refused or refused == earlier.refused):
        refused, since = earlier.refused, earlier.refused_since
    return replace(failure, identifiers=frozenset(lineage.identifiers), refused=refused, refused_since=since)


def listed(identifiers: Sequence[Identifier]) -> str:
    """Return the first few names and the count of the others."""
    names = ", ".join(str(one) for one in identifiers[:_SHOWN])
    return f"{names} and {len(identifiers) - _SHOWN} more" if len(identifiers) > _SHOWN else names


def how_to_remove(refused: Sequence[Identifier]) -> str:
    """Return the remedy for names that no longer exist."""
    is_one = len(refused) == 1
    return (
        f"If {listed(refused)} {'is' if is_one else 'are'} gone, remove {'it' if is_one else 'them'} from identifiers."
    )


def _values(problem: Problem) -> list[str]:
    inner = [value for one in problem.subproblems for value in _values(one)]
    return [problem.identifier, *inner] if problem.identifier else inner
