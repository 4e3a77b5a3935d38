"""Record times of renewal and the failures that delay them: rows of schedules and failures."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import (
    from_identifiers,
    from_time,
    put_row,
    to_identifiers,
    to_time,
    to_time_or_none,
)
from wellkeeper_issuer.records import Failure, Rule, Schedule, Window
from wellkeeper_node.errors import Retry

_SCHEDULES: Final = (
    "SELECT lineage, version, identifiers, not_before, not_after, directory_url, account_url, certificate_id, rule,"
    " renew_at, ask_at, window_start, window_end, explanation_url, unanswered, held_until FROM schedules"
)
_FAILURES: Final = (
    "SELECT lineage, count, stage, message, retry, first_at, last_at, next_try_at, problem, identifiers, refused,"
    " refused_since FROM failures"
)


class SqliteSchedules:
    """Implements `ports.state.Schedules`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_schedules(self, among: Collection[str] | None = None) -> Mapping[str, Schedule]:
        found = await self._database.read_among(_schedule, _SCHEDULES, among)
        return {schedule.lineage: schedule for schedule in found}

    async def read_dates(self) -> Mapping[str, tuple[str, datetime, datetime]]:
        """Return by lineage the live version, and from when until when it is valid: a fifth of the time of all."""
        found = await self._database.read(_dates, "SELECT lineage, version, not_before, not_after FROM schedules")
        return dict(found)

    async def read_schedule(self, lineage: str) -> Schedule | None:
        rows = self._database.find(_schedule, f"{_SCHEDULES} WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def record_schedule(self, schedule: Schedule) -> None:
        window = schedule.window
        row = put_row(
            "schedules",
            lineage=schedule.lineage,
            version=schedule.version,
            identifiers=from_identifiers(sorted(schedule.identifiers)),
            not_before=from_time(schedule.not_before),
            not_after=from_time(schedule.not_after),
            directory_url=schedule.directory_url,
            account_url=schedule.account_url,
            certificate_id=schedule.certificate_id,
            rule=schedule.rule.value,
            renew_at=from_time(schedule.renew_at),
            ask_at=from_time(schedule.ask_at),
            window_start=from_time(window.start) if window else None,
            window_end=from_time(window.end) if window else None,
            explanation_url=schedule.explanation_url,
            unanswered=schedule.unanswered,
            held_until=from_time(schedule.held_until),
        )
        await self._database.write(row)

    async def read_failures(self) -> Mapping[str, Failure]:
        return {failure.lineage: failure for failure in await self._database.read(_failure, _FAILURES)}

    async def read_failure(self, lineage: str) -> Failure | None:
        rows = self._database.find(_failure, f"{_FAILURES} WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def record_failure(self, failure: Failure) -> None:
        row = put_row(
            "failures",
            lineage=failure.lineage,
            count=failure.count,
            stage=failure.stage,
            message=failure.message,
            retry=failure.retry.value,
            first_at=from_time(failure.first_at),
            last_at=from_time(failure.last_at),
            next_try_at=from_time(failure.next_try_at),
            problem=failure.problem,
            identifiers=from_identifiers(sorted(failure.identifiers)),
            refused=from_identifiers(sorted(failure.refused)),
            refused_since=from_time(failure.refused_since),
        )
        await self._database.write(row)

    async def forget_failure(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM failures WHERE lineage = ?", (lineage,)))


def _dates(row: Row) -> tuple[str, tuple[str, datetime, datetime]]:
    return row["lineage"], (row["version"], to_time(row["not_before"]), to_time(row["not_after"]))


def _schedule(row: Row) -> Schedule:
    has_window = row["window_start"] is not None
    return Schedule(
        lineage=row["lineage"],
        version=row["version"],
        identifiers=frozenset(to_identifiers(row["identifiers"])),
        not_before=to_time(row["not_before"]),
        not_after=to_time(row["not_after"]),
        directory_url=row["directory_url"],
        account_url=row["account_url"],
        certificate_id=row["certificate_id"],
        rule=Rule(row["rule"]),
        renew_at=to_time(row["renew_at"]),
        ask_at=to_time_or_none(row["ask_at"]),
        window=Window(to_time(row["window_start"]), to_time(row["window_end"])) if has_window else None,
        explanation_url=row["explanation_url"],
        unanswered=row["unanswered"],
        held_until=to_time_or_none(row["held_until"]),
    )


def _failure(row: Row) -> Failure:
    return Failure(
        lineage=row["lineage"],
        count=row["count"],
        stage=row["stage"],
        message=row["message"],
        retry=Retry(row["retry"]),
        first_at=to_time(row["first_at"]),
        last_at=to_time(row["last_at"]),
        next_try_at=to_time(row["next_try_at"]),
        problem=row["problem"],
        identifiers=frozenset(to_identifiers(row["identifiers"])),
        refused=frozenset(to_identifiers(row["refused"])),
        refused_since=to_time_or_none(row["refused_since"]),
    )
