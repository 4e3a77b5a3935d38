"""When certificates are renewed, and what failed: rows of schedules and failures."""

from collections.abc import Collection, Mapping
from typing import Final

from wellkeeper_issuer.errors import Retry
from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import from_identifiers, from_time, to_identifiers, to_time, to_time_or_none
from wellkeeper_issuer.records import Failure, Rule, Schedule, Window

_SCHEDULES: Final = "SELECT * FROM schedules"
_FAILURES: Final = "SELECT * FROM failures"


class SqliteSchedules:
    """Implements `ports_state.Schedules`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_schedules(self, among: Collection[str] | None = None) -> Mapping[str, Schedule]:
        found = await self._database.read_among(_schedule, _SCHEDULES, among)
        return {schedule.lineage: schedule for schedule in found}

    async def read_schedule(self, lineage: str) -> Schedule | None:
        rows = self._database.find(_schedule, f"{_SCHEDULES} WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def record_schedule(self, schedule: Schedule) -> None:
        window = schedule.window
        values = (
            schedule.lineage,
            schedule.version,
            from_identifiers(sorted(schedule.identifiers)),
            from_time(schedule.not_before),
            from_time(schedule.not_after),
            schedule.directory_url,
            schedule.account_url,
            schedule.certificate_id,
            schedule.rule.value,
            from_time(schedule.renew_at),
            from_time(schedule.ask_at),
            from_time(window.start) if window else None,
            from_time(window.end) if window else None,
            schedule.explanation_url,
            schedule.unanswered,
        )
        await self._database.write(
            ("INSERT OR REPLACE INTO schedules VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        )

    async def read_failures(self) -> Mapping[str, Failure]:
        return {failure.lineage: failure for failure in await self._database.read(_failure, _FAILURES)}

    async def read_failure(self, lineage: str) -> Failure | None:
        rows = self._database.find(_failure, f"{_FAILURES} WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def record_failure(self, failure: Failure) -> None:
        values = (
            failure.lineage,
            failure.count,
            failure.stage,
            failure.message,
            failure.retry.value,
            from_time(failure.first_at),
            from_time(failure.last_at),
            from_time(failure.next_try_at),
            failure.problem,
        )
        await self._database.write(("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values))

    async def forget_failure(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM failures WHERE lineage = ?", (lineage,)))


def _schedule(row: Row) -> Schedule:
    lineage, version, identifiers, not_before, not_after, directory_url, account_url, certificate_id = row[:8]
    rule, renew_at, ask_at, window_start, window_end, explanation_url, unanswered = row[8:]
    return Schedule(
        lineage,
        version,
        frozenset(to_identifiers(identifiers)),
        to_time(not_before),
        to_time(not_after),
        directory_url,
        account_url,
        certificate_id,
        Rule(rule),
        to_time(renew_at),
        to_time_or_none(ask_at),
        Window(to_time(window_start), to_time(window_end)) if window_start is not None else None,
        explanation_url,
        unanswered,
    )


def _failure(row: Row) -> Failure:
    lineage, count, stage, message, retry, first_at, last_at, next_try_at, problem = row
    return Failure(
        lineage,
        count,
        stage,
        message,
        Retry(retry),
        to_time(first_at),
        to_time(last_at),
        to_time(next_try_at),
        problem,
    )
