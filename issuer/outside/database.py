"""The state on disk: SQLite in `state_dir/state.db`, one connection on a thread of its own.

WAL with synchronous=FULL: what a call wrote is there after a power cut. Deleted rows are overwritten, since keys stand
in them. Design: docs/design/0006-state.md.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from issuer.errors import JournalError
from issuer.outside.connections import open_to_own, open_to_read
from issuer.outside.state_lock import leave_lock, take_lock
from issuer.outside.state_remedies import cause_and_remedy
from issuer.outside.threads import DaemonThreads

T = TypeVar("T")

Row = tuple[Any, ...]
Statement = tuple[str, Sequence[object]]


@dataclass(eq=False, slots=True)
class _Write:
    statements: Sequence[Statement]
    is_done: bool = False


class Database:
    """Use as an async context manager; all raises JournalError.

    `command` is what owns the state ("run", "renew", …): one at a time, others are refused. None reads only, and waits
    for nobody.
    """

    def __init__(self, path: Path, command: str | None) -> None:
        self._path = path
        self._command = command
        self._lock = -1
        self._thread = DaemonThreads(1, "state")
        self._connection: sqlite3.Connection | None = None
        self._queued: list[_Write] = []

    async def __aenter__(self) -> Self:
        try:
            await self._run(self._open)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        await self._run(self._close)
        self._thread.shutdown()

    async def read(self, make: Callable[[Row], T], statement: str, *values: object) -> list[T]:
        """What `make` makes of each row; a ValueError of it says that the file is damaged."""
        return await self._run(lambda connection: [make(row) for row in connection.execute(statement, values)])

    async def write(self, *statements: Statement) -> None:
        """All or none; durable when it returns. Shares the wait for the disk with other writes under way."""
        write = _Write(statements)
        self._queued.append(write)
        await self._run(lambda connection: self._settle(connection, write))

    def _settle(self, connection: sqlite3.Connection, write: _Write) -> None:
        if write.is_done:  # an earlier one took it along
            return
        queued = self._queued[:]
        del self._queued[: len(queued)]
        together = [write, *(other for other in queued if other is not write)]
        try:
            _commit(connection, together)
        except sqlite3.Error:
            if len(together) == 1:
                raise
            _commit(connection, [write])  # each bears its own errors: the others come back one by one

    def _open(self, _: object) -> None:
        if self._command is None:
            self._connection = open_to_read(self._path)
            return
        self._lock = take_lock(self._path.with_suffix(".lock"), self._command)
        self._connection = open_to_own(self._path)

    def _close(self, _: object) -> None:
        """Whatever `_open` came to have."""
        if self._connection is not None:
            self._connection.close()
        if self._lock >= 0:
            leave_lock(self._lock)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def task() -> T:
            try:
                # None for `_open` and `_close` only, which ignore it.
                return work(self._connection)  # type: ignore[arg-type]
            except (sqlite3.Error, OSError, ValueError) as error:
                raise JournalError(f"{self._path}: {cause_and_remedy(error)}") from error

        # A write that was begun is finished, and its failure known, before a cancellation goes on.
        future = asyncio.get_running_loop().run_in_executor(self._thread, task)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise


def _commit(connection: sqlite3.Connection, writes: Sequence[_Write]) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for write in writes:
            for statement, values in write.statements:
                connection.execute(statement, values)
    for write in writes:
        write.is_done = True
