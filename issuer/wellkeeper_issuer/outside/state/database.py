"""Read and write SQLite in `state_dir/state.db`: one connection on its own thread, one for single rows by key.

With WAL and synchronous=FULL, finished writes survive a power cut. Deleted rows are overwritten, since they may contain
keys. Design: docs/design/0006-state.md.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from wellkeeper_issuer.advice.state import cause_and_remedy
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.connections import open_to_read, open_to_write

T = TypeVar("T")

Row = sqlite3.Row
Statement = tuple[str, Sequence[object]]

_FEW: Final = 500


@dataclass(eq=False, slots=True)
class _Write:
    statements: Sequence[Statement]
    is_done: bool = False


class Database:
    """The database. Use as an async context manager; all methods raise JournalError.

    To write, own the state first (`lock.LocalOwnership`). Readers never wait.
    """

    def __init__(self, path: Path, *, may_write: bool) -> None:
        self._path = path
        self._may_write = may_write
        self._thread = ThreadPoolExecutor(1, "state")
        self._connection: sqlite3.Connection | None = None
        self._keyed: sqlite3.Connection | None = None
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
        self._thread.shutdown(wait=False)

    async def read(self, make: Callable[[Row], T], statement: str, *values: object) -> list[T]:
        """Return `make(row)` for each row; a ValueError of `make` means that the file is damaged."""
        return await self._run(lambda connection: [make(row) for row in connection.execute(statement, values)])

    def find(self, make: Callable[[Row], T], statement: str, *values: object) -> list[T]:
        """Read few rows by key on the event loop: a thread would take ten times as long."""
        with self._translated():
            # None only before `_open`.
            return [make(row) for row in self._keyed.execute(statement, values)]  # type: ignore[union-attr]

    async def read_among(
        self, make: Callable[[Row], T], select: str, among: Collection[str] | None, **equal: object
    ) -> list[T]:
        """Read the rows of all lineages, or of these, whose columns have the values of `equal`.

        For many lineages, it reads all rows and filters them, which is as fast.
        """
        conditions = [f"{column} = ?" for column in equal]
        if among is None:
            return await self.read(make, _where(select, conditions), *equal.values())
        if len(among) > _FEW:
            wanted = set(among)
            statement, values = _where(select, conditions), tuple(equal.values())
            return await self._run(
                lambda connection: [
                    make(row) for row in connection.execute(statement, values) if row["lineage"] in wanted
                ]
            )
        conditions.append(f"lineage IN ({', '.join('?' * len(among))})")
        return self.find(make, _where(select, conditions), *equal.values(), *among)

    async def write(self, *statements: Statement) -> None:
        """Execute all statements or none; durable on return. Concurrent writes share one commit."""
        if not statements:
            return
        write = _Write(statements)
        self._queued.append(write)
        await self._run(lambda connection: self._settle(connection, write))

    def _settle(self, connection: sqlite3.Connection, write: _Write) -> None:
        if write.is_done:  # an earlier commit included it
            return
        queued = self._queued[:]
        del self._queued[: len(queued)]
        together = [write, *(other for other in queued if other is not write)]
        try:
            _commit(connection, together)
        except sqlite3.Error:
            if len(together) == 1:
                raise
            _commit(connection, [write])  # each write reports its own errors: the others commit one by one

    def _open(self, _: object) -> None:
        if not self._may_write:
            self._connection = self._keyed = open_to_read(self._path)
            return
        self._connection = open_to_write(self._path)
        self._keyed = open_to_read(self._path)

    def _close(self, _: object) -> None:
        """Close the connections that `_open` opened."""
        for connection in (self._keyed, self._connection):  # the last one removes the WAL, if it may write
            if connection is not None:
                connection.close()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def task() -> T:
            with self._translated():
                # None only for `_open` and `_close`, which ignore it.
                return work(self._connection)  # type: ignore[arg-type]

        # On cancellation, wait until a write under way has finished or failed.
        future = asyncio.get_running_loop().run_in_executor(self._thread, task)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            raise JournalError(f"cannot use {self._path}", *cause_and_remedy(error)) from error


def _where(select: str, conditions: Sequence[str]) -> str:
    return f"{select} WHERE {' AND '.join(conditions)}" if conditions else select


def _commit(connection: sqlite3.Connection, writes: Sequence[_Write]) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for write in writes:
            for statement, values in write.statements:
                connection.execute(statement, values)
    for write in writes:
        write.is_done = True
