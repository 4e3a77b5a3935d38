"""Compute the status of every lineage, and what to do next, from the recorded state and the live links alone.

No certificate is read and no connection made, so that ten thousand take only as long as reading the rows. A pass would
leave a quiet certificate as it is; one whose status is not certain is not quiet.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from wellkeeper_issuer.model import Lineage, UnderWay
from wellkeeper_issuer.obtain import backoff
from wellkeeper_issuer.obtain.blocks import is_in_force
from wellkeeper_issuer.obtain.due import (
    ISSUED,
    PLACEHOLDER,
    check_at,
    check_seconds,
    due_reason,
    is_to_be_asked,
    reason_of,
)
from wellkeeper_issuer.obtain.refused_names import is_about
from wellkeeper_issuer.ports.state import StateRecords
from wellkeeper_issuer.records import Blocked, Check, Failure, Rule, Schedule, Seen
from wellkeeper_node.model import Flip

_VERIFY: Final = "not yet verified that nginx serves it"
_AGAIN: Final = "the last attempt failed, checking again"
# For an external certificate of which none was delivered yet.
_UNPLANNED: Final = timedelta(hours=1)
# A timer may run a little late.
_OLD_CHECKS: Final = 2
_NOT_LOOKED_AT: Final = "not checked yet"
_CHECK: Final = "time to verify that nginx serves it"
_ASK: Final = "time to ask its CA for renewal info"


class State(StrEnum):
    """The worst that applies to a certificate, as programs read it; `words` is the text for people."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    PLACEHOLDER = "placeholder"
    EXPIRED = "expired"
    REFUSED = "refused"
    NOT_RELOADED = "not_reloaded"
    NOT_SERVED = "not_served"
    UNPROVEN = "unproven"
    HIDDEN = "hidden"
    SERVED = "served"

    @property
    def words(self) -> str:
        return _WORDS.get(self, self.value)


_WORDS: Final[Mapping[State, str]] = {
    State.UNKNOWN: "installed, not checked yet",
    State.REFUSED: "an older version, nginx refused the newer one",
    State.NOT_RELOADED: "installed, nginx not reloaded yet",
    State.NOT_SERVED: "installed, not served yet",
    State.UNPROVEN: "installed, not verified to be served",
    State.HIDDEN: "installed, no handshake can show it",
}


@dataclass(frozen=True, slots=True)
class Rows:
    """The recorded state of all lineages; empty when nothing was recorded yet."""

    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    blocks: Mapping[tuple[str, str], Blocked] = field(default_factory=dict)
    owed_hooks: Mapping[str, str] = field(default_factory=dict)
    under_way: Mapping[str, UnderWay] = field(default_factory=dict)
    undelivered: Mapping[str, Flip] = field(default_factory=dict)
    unserved: frozenset[str] = frozenset()
    installed: frozenset[str] = frozenset()
    checks: Mapping[str, Check] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """`version` is the live one, `schedule` the one of this version, if there is one.

    `to_do` is why a pass would work on it, or ""; `next_try_at` is until when it must not. `wake_at` is the next time
    to check it, if nothing changes.
    """

    lineage: str
    state: State
    version: str | None
    schedule: Schedule | None
    failure: Failure | None
    to_do: str
    next_try_at: datetime | None
    wake_at: datetime

    @property
    def is_quiet(self) -> bool:
        """Return true if a pass has nothing to do now."""
        return not self.to_do or self.is_waiting

    @property
    def is_waiting(self) -> bool:
        """Return true if there is something to do, but not yet."""
        return bool(self.to_do) and self.next_try_at is not None

    @property
    def is_failing(self) -> bool:
        """Return true if the last try failed and there is still something to do, except after `--force`."""
        return self.failure is not None and self.to_do != _AGAIN and not self.is_routine

    @property
    def is_routine(self) -> bool:
        """There is nothing to do but what every pass does: read the certificate, and ask its CA when to renew it."""
        return self.to_do in {"", _ASK, _CHECK, _NOT_LOOKED_AT}

    def of_placeholder(self) -> "CertificateStatus":
        """Return the status, corrected for a placeholder; what an earlier pass left over comes first."""
        to_do = PLACEHOLDER if self.to_do in {_AGAIN, _NOT_LOOKED_AT} else self.to_do
        return replace(self, state=State.PLACEHOLDER, to_do=to_do)

    @property
    def not_after(self) -> datetime | None:
        return self.schedule.not_after if self.schedule else None

    @property
    def renew_at(self) -> datetime | None:
        return self.schedule.renew_at if self.schedule else None

    @property
    def rule(self) -> Rule | None:
        return self.schedule.rule if self.schedule else None


async def read_rows(state: StateRecords, among: Collection[str] | None = None) -> Rows:
    """Read the rows of all lineages, or at least of those in `among`. Raises JournalError."""
    return Rows(
        schedules=await state.schedules.read_schedules(among),
        failures=await state.schedules.read_failures(),
        blocks={(one.directory_url, one.lineage): one for one in await state.ledger.read_blocks()},
        owed_hooks=await state.notes.read_owed_hooks(),
        under_way=await state.attempts.under_way(),
        undelivered=await state.deliveries.undelivered(),
        unserved=await state.deliveries.unserved(),
        installed=await state.deliveries.installed(among),
        checks=await state.deliveries.checks(among),
    )


def statuses(
    lineages: Iterable[Lineage], versions: Mapping[str, str], rows: Rows, now: datetime
) -> list[CertificateStatus]:
    """Return the status of each lineage; `versions` are the live versions, by lineage."""
    return [status(one, versions.get(one.name), rows, now) for one in lineages]


def status(lineage: Lineage, version: str | None, rows: Rows, now: datetime) -> CertificateStatus:
    """Return the status of one lineage."""
    name = lineage.name
    schedule = rows.schedules.get(name)
    if schedule is not None and schedule.version != version:
        schedule = None
    failure = rows.failures.get(name)
    if failure is not None and not is_about(failure, lineage):
        failure = None  # the settings changed
    due, left_over = due_reason(lineage, version, schedule, now), _left_over(lineage, rows)
    is_over = failure is not None and backoff.is_over(failure, now)
    # As in a pass, a certificate that the CA has already issued is installed first.
    to_do = (
        (left_over if left_over == ISSUED else due)
        or left_over
        or (_AGAIN if is_over else _look(name, version, schedule, rows, now))
    )
    is_for_a_ca = (
        due or schedule is None
    ) and not left_over  # without a schedule, such as a placeholder, it may be due
    next_try_at = _next_try_at(lineage, failure, rows.blocks if is_for_a_ca else {}, now)
    return CertificateStatus(
        name,
        _state(name, version, schedule, rows, now),
        version,
        schedule,
        failure,
        to_do,
        next_try_at,
        _wake_at(lineage, to_do, schedule, next_try_at, rows=rows, now=now),
    )


def _left_over(lineage: Lineage, rows: Rows) -> str:
    """Return what an earlier pass left over that needs no CA, or ""."""
    name, under_way = lineage.name, rows.under_way.get(lineage.name)
    if under_way is not None and under_way.is_issued_for(lineage):
        return reason_of(lineage)
    if name in rows.undelivered:
        return "not yet verified that nginx loaded it"
    return "its deploy hook has not succeeded yet" if name in rows.owed_hooks else ""


def _look(name: str, version: str | None, schedule: Schedule | None, rows: Rows, now: datetime) -> str:
    """Return what to find out, or ""."""
    if version is not None and (schedule is None or name not in rows.installed):
        return _NOT_LOOKED_AT
    if schedule is not None and is_to_be_asked(schedule, now):
        return _ASK
    if name in rows.unserved:
        return _VERIFY
    is_check_due = schedule is not None and _check_at(schedule, rows, now) <= now < schedule.not_after
    return _CHECK if is_check_due else ""


def _check_at(schedule: Schedule, rows: Rows, now: datetime) -> datetime:
    return check_at(rows.checks.get(schedule.lineage), schedule.not_after - schedule.not_before, now)


def _state(name: str, version: str | None, schedule: Schedule | None, rows: Rows, now: datetime) -> State:
    if version is None:
        return State.MISSING
    if schedule is not None and schedule.not_after <= now:
        return State.EXPIRED
    if name in rows.undelivered:
        return State.NOT_RELOADED if version == rows.undelivered[name].after else State.REFUSED
    if name in rows.unserved:
        return State.NOT_SERVED
    if name in rows.installed and name in rows.checks and rows.checks[name].version == version:
        return _seen(rows.checks[name], schedule, now)
    return State.UNKNOWN if schedule is None and name not in rows.installed else State.UNPROVEN


def _seen(check: Check, schedule: Schedule | None, now: datetime) -> State:
    """Return what the last check showed; one that is too old shows nothing."""
    if check.seen in {Seen.WRONG, Seen.UNUSED}:
        return State.NOT_SERVED
    if schedule and now > check.at + _OLD_CHECKS * timedelta(
        seconds=check_seconds(schedule.not_after - schedule.not_before)
    ):
        return State.UNPROVEN
    return State.HIDDEN if check.seen is Seen.HIDDEN else State.SERVED


def _next_try_at(
    lineage: Lineage, failure: Failure | None, blocks: Mapping[tuple[str, str], Blocked], now: datetime
) -> datetime | None:
    """Return when it may be tried next; None when it may be tried now."""
    times = [] if failure is None or backoff.is_over(failure, now) else [failure.next_try_at]
    if blocks and lineage.directory_urls:
        # One CA of the list is enough: the first one that may be asked again.
        free_at = min(_free_at(url, lineage.name, blocks, now) for url in lineage.directory_urls)
        times += [free_at] if free_at > now else []
    return max(times, default=None)


def _free_at(directory_url: str, lineage: str, blocks: Mapping[tuple[str, str], Blocked], now: datetime) -> datetime:
    found = [blocks[key] for key in ((directory_url, ""), (directory_url, lineage)) if key in blocks]
    return max((one.until for one in found if is_in_force(one, now)), default=now)


def _wake_at(  # noqa: PLR0913 - all that decides
    lineage: Lineage,
    to_do: str,
    schedule: Schedule | None,
    next_try_at: datetime | None,
    *,
    rows: Rows,
    now: datetime,
) -> datetime:
    if schedule is None and lineage.is_external and lineage.name not in {*rows.under_way, *rows.undelivered}:
        return now + _UNPLANNED  # a placeholder, or nothing; what is delivered wakes it
    if to_do or schedule is None:
        return next_try_at or now
    at = _check_at(schedule, rows, now)
    asks_at = at if schedule.ask_at is None or now >= schedule.not_after else schedule.ask_at
    # A pass clears the failure of a certificate that is no longer due, as after --force, once its wait is over.
    renews_at = at if lineage.is_external else schedule.renew_at
    return min(renews_at, at, asks_at, next_try_at or at)
