"""Read what several commands show about certificates, from disk alone: nothing here asks a CA or waits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.messages import Backlog
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.due import renew_at
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.obtain.vetoes import end_of
from wellkeeper_issuer.outside.state.lock import DAEMON, LOCK, find_owner
from wellkeeper_issuer.outside.state.state import JOURNAL, has_state, open_state
from wellkeeper_issuer.outside.state.state import State as OpenedState
from wellkeeper_issuer.records import Budget, Check, Failure, Rehearsal, Schedule
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.cas import limits
from wellkeeper_issuer.status.certificate_status import CertificateStatus, Rows, State, read_rows, statuses
from wellkeeper_node.certificates.leaves import read_leaves
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.model import Certificate

# CAs date certificates back by up to an hour, for clocks that are slow.
_BACKDATED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Shown:
    """One certificate: `certificate` is None unless it was read, which only one without a schedule needs."""

    lineage: Lineage
    status: CertificateStatus
    certificate: Certificate | None = None
    rehearsal: Rehearsal | None = None
    veto_until: datetime | None = None
    check: Check | None = None

    @property
    def not_after(self) -> datetime | None:
        return self.status.not_after or (self.certificate.not_after if self.certificate else None)

    @property
    def served_not_after(self) -> datetime | None:
        """The expiry of another certificate that clients get, as the last check found."""
        return self.check.leaf_not_after if self.check else None

    @property
    def renew_at(self) -> datetime | None:
        """The planned time, else that of the lifetime rule; None for a placeholder."""
        if self.status.renew_at or self.certificate is None or self.certificate.is_self_signed:
            return self.status.renew_at
        return renew_at(self.certificate.not_before, self.certificate.not_after)

    @property
    def lacks_names(self) -> bool:
        """Return true if the live certificate was renewed without names that the CA refuses."""
        schedule = self.status.schedule
        is_part = schedule is not None and schedule.identifiers < frozenset(self.lineage.identifiers)
        return self.lineage.drops_failing_names and is_part

    @property
    def failed_rehearsal(self) -> Rehearsal | None:
        """The last rehearsal if it failed and no certificate was issued since."""
        rehearsal, dated = self.rehearsal, self.status.schedule or self.certificate
        if rehearsal is None or rehearsal.is_well:
            return None
        is_outweighed = dated is not None and not self._is_placeholder and rehearsal.at < dated.not_before + _BACKDATED
        return None if is_outweighed else rehearsal

    @property
    def _is_placeholder(self) -> bool:
        return self.certificate is not None and self.certificate.is_self_signed


@dataclass(frozen=True, slots=True)
class Overview:
    """All certificates at `now`; `daemon_pid` is None when no daemon runs, `budgets` have the names of their CAs.

    `targets` are all that get notifications.

    Its repr is short: asyncio.run makes one of what it returns (in signal.getsignal), and throws it away.
    """

    shown: Sequence[Shown] = field(repr=False)
    rows: Rows = field(repr=False)
    now: datetime
    daemon_pid: int | None
    budgets: Sequence[tuple[str, Budget]] = field(repr=False)
    targets: Mapping[str, Backlog] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The content of the state on disk; empty when there is none."""

    rows: Rows = field(default_factory=Rows)
    rehearsals: dict[str, Rehearsal] = field(default_factory=dict)
    budgets: Sequence[tuple[str, Budget]] = ()
    vetoes: dict[str, datetime] = field(default_factory=dict)
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)


async def look(
    settings: Settings, lineages: Sequence[Lineage], *, reads_certificates: bool = False, is_about_one: bool = False
) -> Overview:
    """Return the state of these certificates; only those without a schedule are read, or all (`reads_certificates`).

    Raises SettingsError, InstallError and JournalError.
    """
    now, live = SystemClock().now(), LiveFolder(settings.certificates_dir)
    path = settings.state_dir / JOURNAL
    names = [one.name for one in lineages] if is_about_one else []
    recorded = await _read(settings, path, names) if has_state(settings.state_dir) else _Recorded()
    found = statuses(lineages, await live.versions(names or None), recorded.rows, now)
    leaves = await read_leaves(
        settings.certificates_dir,
        {one.lineage: one.version for one in found if one.version and (reads_certificates or one.schedule is None)},
    )
    shown = [
        Shown(
            lineage,
            _refined(one, leaves.get(one.lineage), now),
            leaves.get(one.lineage),
            recorded.rehearsals.get(one.lineage),
            recorded.vetoes.get(one.lineage),
            recorded.rows.checks.get(one.lineage),
        )
        for lineage, one in zip(lineages, found, strict=True)
    ]
    owner = find_owner(settings.state_dir / LOCK)
    pid = owner[0] if owner and owner[1] == DAEMON else None
    targets = {name: recorded.backlogs.get(name, Backlog(0)) for name in settings.notifications.names}
    return Overview(shown, recorded.rows, now, pid, recorded.budgets, targets)


async def _read(settings: Settings, path: Path, names: Collection[str]) -> _Recorded:
    async with open_state(path, may_write=False) as state:
        rows = await read_rows(state, names or None)
        vetoes = {name: await state.vetoes.read_vetoes(name) for name in names}
        return _Recorded(
            rows if settings.hooks.deploy else replace(rows, owed_hooks={}),  # the next pass runs none
            dict(await state.notes.read_rehearsals()),
            await read_budgets(settings, state),
            {name: end_of(ends) for name, ends in vetoes.items() if ends},
            await state.outbox.read_backlogs(),
        )


async def read_budgets(settings: Settings, state: OpenedState) -> list[tuple[str, Budget]]:
    """Return the budgets of all CAs. Uses are counted as they were recorded: no name is taken apart."""
    counted = Limits(state.ledger, SystemClock(), str)
    return [
        (ca.name, budget)
        for ca in settings.all_cas()
        for budget in await counted.budgets(ca.directory, limits(settings, ca.directory))
    ]


def _refined(status: CertificateStatus, certificate: Certificate | None, now: datetime) -> CertificateStatus:
    """Complete the status of a certificate without a schedule from the certificate itself."""
    if status.schedule is not None or certificate is None:
        return status
    if certificate.is_self_signed:
        return status.of_placeholder()
    if certificate.not_after <= now:
        return replace(status, state=State.EXPIRED)
    return replace(status, state=State.UNPROVEN) if status.state is State.UNKNOWN else status


def to_json(shown: Shown, rows: Rows) -> dict[str, Any]:
    """Return all that is known about one certificate."""
    status, certificate = shown.status, shown.certificate
    return {
        "name": shown.lineage.name,
        "state": status.state.value,
        "is_renewal_under_way": shown.lineage.name in rows.under_way,
        "to_do": status.to_do or None,
        "next_try_at": _text(status.next_try_at),
        "version": status.version,
        "identifiers": _identifiers(shown.lineage, certificate),
        "serial": certificate.serial if certificate else None,
        "fingerprint_sha256": certificate.fingerprint_sha256 if certificate else None,
        "issued_by": certificate.issued_by if certificate else None,
        "not_before": _text(certificate.not_before) if certificate else None,
        "not_after": _text(shown.not_after),
        "checked_at": _text(shown.check.at) if shown.check else None,
        "served_not_after": _text(shown.served_not_after),
        "renew_at": _text(shown.renew_at),
        "schedule": _schedule_to_json(status.schedule) if status.schedule else None,
        "failure": _failure_to_json(status.failure) if status.failure else None,
        "rehearsal": _rehearsal_to_json(shown.rehearsal) if shown.rehearsal else None,
    }


def _identifiers(lineage: Lineage, certificate: Certificate | None) -> list[str]:
    """Return the names in the order of the settings; names that are not in the settings come last."""
    named = list(map(str, lineage.identifiers))
    if certificate is None:
        return named
    found = set(map(str, certificate.identifiers))
    return [one for one in named if one in found] + sorted(found - set(named))


def budget_to_json(ca: str, budget: Budget) -> dict[str, Any]:
    limit = budget.limit
    return {
        "ca": ca,
        "spent": limit.spent.value,
        "scope": limit.scope.value,
        "value": budget.value,
        "used": budget.used,
        "left": budget.left,
        "count": limit.count,
        "seconds": limit.seconds,
        "free_at": _text(budget.free_at),
    }


def _schedule_to_json(schedule: Schedule) -> dict[str, Any]:
    window = schedule.window
    return {
        "directory_url": schedule.directory_url or None,
        "rule": schedule.rule.value,
        "window": {"start": _text(window.start), "end": _text(window.end)} if window else None,
        "explanation_url": schedule.explanation_url,
        "ask_at": _text(schedule.ask_at),
    }


def _failure_to_json(failure: Failure) -> dict[str, Any]:
    return {
        "count": failure.count,
        "stage": failure.stage,
        "message": failure.message,
        "problem": failure.problem,
        "retry": failure.retry.value,
        "first_at": _text(failure.first_at),
        "last_at": _text(failure.last_at),
        "next_try_at": _text(failure.next_try_at),
    }


def _rehearsal_to_json(rehearsal: Rehearsal) -> dict[str, Any]:
    return {"at": _text(rehearsal.at), "is_well": rehearsal.is_well, "detail": rehearsal.detail}


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
