"""Record notices on their way to their targets: rows of outbox, and of outbox_troubles for what a target answered.

A notice that was sent stays for an hour. If the program dies before it records elsewhere that it has reported
something, it reports it again, and no target gets it twice.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.messages import Backlog, Message
from wellkeeper_issuer.outside.state.database import Database, Row, Statement
from wellkeeper_issuer.outside.state.rows import from_time, to_time, to_time_or_none
from wellkeeper_issuer.records import Notice

_SAME: Final = timedelta(hours=1)
# Targets that are no longer in the settings; the others forget earlier, and say so.
_ABANDONED: Final = timedelta(days=4)
_PUT: Final = """
INSERT INTO outbox SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0 WHERE (?3, ?5) IS NOT (
    SELECT notice, detail FROM outbox WHERE target = ?1 AND subject = ?4 AND at > ?7 ORDER BY rowid DESC LIMIT 1
)
"""
_TRIM: Final = """
DELETE FROM outbox WHERE target = ?1 AND NOT is_sent AND rowid NOT IN (
    SELECT rowid FROM outbox WHERE target = ?1 AND NOT is_sent ORDER BY rowid DESC LIMIT ?2
)
"""
_WAITING: Final = "SELECT * FROM outbox WHERE target = ? AND NOT is_sent ORDER BY rowid"
_TROUBLE: Final = """
INSERT INTO outbox_troubles VALUES (?, ?, ?) ON CONFLICT (target) DO UPDATE SET error = excluded.error
"""
_END_ABANDONED: Final = "DELETE FROM outbox_troubles WHERE target NOT IN (SELECT target FROM outbox WHERE NOT is_sent)"
# Nothing would be tried again, so that nothing could show that the target works.
_END_TROUBLE: Final = """
DELETE FROM outbox_troubles WHERE target = ?1 AND NOT EXISTS (
    SELECT 1 FROM outbox WHERE target = ?1 AND NOT is_sent
)
"""
_BACKLOGS: Final = """
SELECT target, sum(waiting) AS waiting, max(since) AS since, max(error) AS error, min(at) AS oldest_at FROM (
    SELECT target, 1 AS waiting, NULL AS since, '' AS error, at FROM outbox WHERE NOT is_sent
    UNION ALL SELECT target, 0, since, error, NULL FROM outbox_troubles
) GROUP BY target
"""


class SqliteOutbox:
    """Implements `ports.people.Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = asyncio.Event()

    @property
    def changed(self) -> asyncio.Event:
        return self._changed

    async def put(self, message: Message, targets: Sequence[str], most: int) -> None:
        statements: list[Statement] = [
            (
                "DELETE FROM outbox WHERE (is_sent AND at < ?) OR at < ?",
                (from_time(message.at - _SAME), from_time(message.at - _ABANDONED)),
            ),
            (_END_ABANDONED, ()),
        ]
        for target in targets:
            statements += [(_PUT, (target, *_values(message), from_time(message.at - _SAME))), (_TRIM, (target, most))]
        await self._database.write(*statements)
        self._changed.set()

    async def read_waiting(self, target: str) -> Sequence[Message]:
        return await self._database.read(_message, _WAITING, target)

    async def record_sent(self, target: str, message_id: str) -> None:
        await self._database.write(
            ("UPDATE outbox SET is_sent = 1 WHERE target = ? AND id = ?", (target, message_id)),
            ("DELETE FROM outbox_troubles WHERE target = ?", (target,)),
        )

    async def forget(self, target: str, message_id: str) -> None:
        await self._database.write(
            ("DELETE FROM outbox WHERE target = ? AND id = ?", (target, message_id)),
            (_END_TROUBLE, (target,)),
        )

    async def record_trouble(self, target: str, error: str, at: datetime) -> None:
        await self._database.write((_TROUBLE, (target, from_time(at), error)))

    async def read_backlogs(self) -> Mapping[str, Backlog]:
        return dict(await self._database.read(_backlog, _BACKLOGS))


def _values(message: Message) -> tuple[object, ...]:
    return message.id, message.notice.value, message.subject, message.detail, from_time(message.at)


def _message(row: Row) -> Message:
    return Message(row["id"], Notice(row["notice"]), row["subject"], row["detail"], to_time(row["at"]))


def _backlog(row: Row) -> tuple[str, Backlog]:
    since, oldest_at = to_time_or_none(row["since"]), to_time_or_none(row["oldest_at"])
    return row["target"], Backlog(row["waiting"], since, row["error"], oldest_at)
