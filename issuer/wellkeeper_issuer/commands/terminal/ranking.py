"""Sort certificates by condition, the worst first, and describe in one line what is wrong with each."""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final

from wellkeeper_issuer.commands.terminal.distance import time_left
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Overview, Shown
from wellkeeper_issuer.upkeep.notices import is_in_danger
from wellkeeper_node.wording import counted, format_exact_time, times_in_a_row


class Condition(Enum):
    """The condition of a certificate as `status` shows it, the worst first."""

    FAILING = "failing"
    EXPIRED = "expired"
    EXPIRING = "expiring"
    MISSING = "missing"
    PLACEHOLDER = "placeholder"
    WAITING = "waiting"
    NOT_SERVED_YET = "not served yet"
    INSTALLED = "installed"
    SERVED = "served"


_RANKS: Final = {condition: rank for rank, condition in enumerate(Condition)}
_BY_STATE: Final = {
    State.EXPIRED: Condition.EXPIRED,
    State.MISSING: Condition.MISSING,
    State.PLACEHOLDER: Condition.PLACEHOLDER,
}
_GOOD: Final = {State.SERVED: Condition.SERVED, State.HIDDEN: Condition.INSTALLED}


def condition(one: Shown, seen: Overview) -> Condition:
    """Return the worst condition that holds."""
    status = one.status
    if status.is_failing:
        return Condition.FAILING
    if status.state in _BY_STATE:
        return _BY_STATE[status.state]
    if is_in_danger(status.schedule, one.check, seen.now):
        return Condition.EXPIRING
    if status.is_waiting and not status.is_routine:
        return Condition.WAITING
    return _GOOD.get(status.state, Condition.NOT_SERVED_YET)


def worst_first(seen: Overview) -> list[tuple[Condition, Shown]]:
    """Return all certificates, those of one condition in the order of the settings."""
    found = [(condition(one, seen), one) for one in seen.shown]
    return sorted(found, key=lambda pair: _RANKS[pair[0]])


def count(conditions: Iterable[Condition]) -> str:
    """Return `48 served, 1 failing, 1 placeholder`: served first, then the worst first."""
    counts = Counter(conditions)
    order = sorted(counts, key=lambda one: -1 if one is Condition.SERVED else _RANKS[one])
    return ", ".join(_counted(counts[one], one) for one in order)


def _counted(number: int, one: Condition) -> str:
    return counted(number, one.value) if one is Condition.PLACEHOLDER else f"{number} {one.value}"


def summary(conditions: Iterable[Condition]) -> str:
    """Return `50 certificates: 48 served, 1 failing, 1 placeholder`."""
    found = list(conditions)
    return f"{counted(len(found), 'certificate')}: {count(found)}"


def note(one: Shown, seen: Overview) -> str:
    """Return what needs attention in one line; "" when nothing does."""
    return "; ".join(notes(one, seen))


def notes(one: Shown, seen: Overview) -> Iterator[str]:
    """Yield the same, one by one."""
    status = one.status
    if status.failure is not None:
        failure = status.failure
        prefix = "" if status.is_failing else "not due, but its last renewal failed: "
        yield f"{prefix}{failure.stage}: {' '.join(failure.message.split())} ({times_in_a_row(failure.count)})"
    else:
        yield from _renewing(one, seen)
    if status.is_waiting and status.next_try_at is not None:
        yield f"next try at {format_exact_time(status.next_try_at)}"
    if status.state not in {State.SERVED, State.MISSING, State.PLACEHOLDER, State.EXPIRED}:
        yield status.state.words
    elif status.failure is None and status.state in {State.SERVED, State.EXPIRED} and not status.is_routine:
        yield status.to_do
    if one.served_not_after is not None:
        yield f"clients get a certificate that expires on {one.served_not_after:%Y-%m-%d}"
    if one.failed_rehearsal is not None:
        yield f"the rehearsal of {one.failed_rehearsal.at:%Y-%m-%d} failed"


def _renewing(one: Shown, seen: Overview) -> Iterator[str]:
    if one.lineage.name in seen.rows.under_way:
        yield "renewal under way"
    elif one.lineage.is_external and is_in_danger(one.status.schedule, one.check, seen.now):
        yield "no newer certificate was delivered"


def expiry(one: Shown, seen: Overview, *, is_dated: bool) -> str:
    """Return `58 days`, or `2026-05-30 (58 days)` when dated; "" when nothing is installed."""
    if one.not_after is None:
        return ""
    left = time_left(one.not_after, seen.now)
    return f"{one.not_after:%Y-%m-%d} ({left})" if is_dated else left


def renewal(one: Shown, seen: Overview, *, is_dated: bool) -> str:
    """Return `28 days`, or `2026-04-30` when dated; `external` when another client renews it, "" without a date."""
    if one.lineage.is_external:
        return "external"
    if one.renew_at is None:
        return ""
    if is_dated:
        return f"{one.renew_at:%Y-%m-%d}"
    return time_left(one.renew_at, seen.now) if one.renew_at > seen.now else "now"
