"""The state on disk, in memory: plain classes that keep the contracts of `issuer.ports_state`."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from issuer.records import Blocked, Failure, Notice, Rehearsal, Schedule, Scope, Spent, Use


class FakeSchedules:
    """Implements `ports_state.Schedules`."""

    def __init__(self) -> None:
        self.schedules: dict[str, Schedule] = {}
        self.failures: dict[str, Failure] = {}

    async def read_schedules(self) -> Mapping[str, Schedule]:
        return dict(self.schedules)

    async def read_schedule(self, lineage: str) -> Schedule | None:
        return self.schedules.get(lineage)

    async def record_schedule(self, schedule: Schedule) -> None:
        self.schedules[schedule.lineage] = schedule

    async def read_failures(self) -> Mapping[str, Failure]:
        return dict(self.failures)

    async def read_failure(self, lineage: str) -> Failure | None:
        return self.failures.get(lineage)

    async def record_failure(self, failure: Failure) -> None:
        self.failures[failure.lineage] = failure

    async def forget_failure(self, lineage: str) -> None:
        self.failures.pop(lineage, None)


class FakeLedger:
    """Implements `ports_state.Ledger`; `uses` are in the order in which they were booked."""

    def __init__(self) -> None:
        self._uses: dict[tuple[str, Spent, Scope, str], list[Use]] = defaultdict(list)
        self._blocks: dict[tuple[str, str], Blocked] = {}
        self.uses: list[Use] = []

    async def read_uses(
        self, directory_url: str, spent: Spent, scope: Scope, value: str, since: datetime
    ) -> Sequence[datetime]:
        uses = self._uses.get((directory_url, spent, scope, value), ())
        found = sorted(use.at for use in uses if use.at >= since and not use.is_exempt)
        await asyncio.sleep(0)  # a real answer is old by the time it arrives
        return found

    async def record_uses(self, uses: Sequence[Use]) -> None:
        for use in uses:
            self._uses[use.directory_url, use.spent, use.scope, use.value].append(use)
        self.uses += uses

    async def read_values(self, directory_url: str, since: datetime) -> Sequence[tuple[Spent, Scope, str, int, int]]:
        counted: dict[tuple[Spent, Scope, str], list[bool]] = defaultdict(list)
        for use in self.uses:
            if use.directory_url == directory_url and use.at >= since:
                counted[use.spent, use.scope, use.value].append(use.is_exempt)
        return [(*key, exempt.count(False), exempt.count(True)) for key, exempt in counted.items()]

    async def forget_uses(self, before: datetime) -> None:
        self.uses = [use for use in self.uses if use.at >= before]
        for key, uses in self._uses.items():
            self._uses[key] = [use for use in uses if use.at >= before]

    async def read_blocks(self) -> Sequence[Blocked]:
        return list(self._blocks.values())

    async def record_block(self, blocked: Blocked) -> None:
        self._blocks[blocked.directory_url, blocked.lineage] = blocked


class FakeNotes:
    """Implements `ports_state.Notes`; `owed_hooks` is filled by the test, as `Journal.record_flip` would do it."""

    def __init__(self) -> None:
        self.owed_hooks: dict[str, str] = {}
        self.notices: dict[str, frozenset[Notice]] = {}
        self.rehearsals: dict[str, Rehearsal] = {}

    async def read_owed_hooks(self) -> Mapping[str, str]:
        return dict(self.owed_hooks)

    async def forget_owed_hook(self, lineage: str) -> None:
        self.owed_hooks.pop(lineage, None)

    async def read_notices(self) -> Mapping[str, frozenset[Notice]]:
        return dict(self.notices)

    async def record_notice(self, lineage: str, notice: Notice) -> None:
        self.notices[lineage] = self.notices.get(lineage, frozenset()) | {notice}

    async def forget_notices(self, lineage: str) -> None:
        self.notices.pop(lineage, None)

    async def read_rehearsals(self) -> Mapping[str, Rehearsal]:
        return dict(self.rehearsals)

    async def record_rehearsal(self, rehearsal: Rehearsal) -> None:
        self.rehearsals[rehearsal.lineage] = rehearsal
