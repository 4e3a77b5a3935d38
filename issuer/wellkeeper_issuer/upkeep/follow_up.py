"""Follow up on a pass: plan retries, run the hooks that are due, notify the administrator."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain import backoff
from wellkeeper_issuer.obtain.refused_names import is_about, with_names
from wellkeeper_issuer.ports.people import Hooks, Notifications
from wellkeeper_issuer.ports.state import Notes, Schedules
from wellkeeper_issuer.records import Event, Failure, LineageRecord, Notice, Occasion, Schedule
from wellkeeper_issuer.upkeep.notices import owed, turning_points
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.happened import NO_HISTORY, Happened, History, record
from wellkeeper_node.ports import Certificates, Clock
from wellkeeper_node.wording import format_time

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Follows up on each certificate. What it owes is kept on disk: a restart neither forgets nor repeats anything."""

    schedules: Schedules
    notes: Notes
    hooks: Hooks
    notifications: Notifications
    certificates: Certificates
    clock: Clock
    choose: Callable[[], float]
    history: History = NO_HISTORY

    def waits(self, lineage: Lineage, failure: Failure | None) -> Failure | None:
        """Return the failure if the certificate must not be tried again yet; other identifiers need not wait."""
        if failure is None or not is_about(failure, lineage):
            return None
        return None if backoff.is_over(failure, self.clock.now()) else failure

    async def begin(self, lineages: Sequence[Lineage]) -> None:
        """Run the pre hook, before the first order of a pass. If it raises HookError, nothing is ordered."""
        await self.hooks.run(Event.PRE, Occasion(tuple(one.name for one in lineages)))

    async def end(self, occasion: Occasion) -> None:
        """Run the post hook, after a pass that ordered something. Raises HookError."""
        await self.hooks.run(Event.POST, occasion)

    async def is_owed(self, lineage: str) -> bool:
        """Return whether the recorded deploy hook has to run; if none is configured, forget the record."""
        if not self.hooks.is_there(Event.DEPLOY):
            await self.notes.forget_owed_hook(lineage)
        return self.hooks.is_there(Event.DEPLOY)

    async def deploy(self, lineage: Lineage) -> None:
        """Run the deploy hook that is owed. If it raises HookError, it stays owed."""
        await self.hooks.run(Event.DEPLOY, self._occasion(lineage))
        await self.notes.forget_owed_hook(lineage.name)

    async def settle(self, lineage: Lineage, record: LineageRecord, error: Exception | None) -> Failure | None:
        """Record the result, report what is new to the administrator, and return the failure, if there is one."""
        failure = await self._record(lineage, record, error)
        if failure is not None and error is not None and self.hooks.is_there(Event.FAILED):
            await self._try(self.hooks.run(Event.FAILED, self._occasion(lineage, failure.message)))
        await self.report(lineage.name, replace(record, failure=failure))
        return failure

    async def announce(self, lineage: str, detail: str) -> None:
        """Report a renewal without a failure; by default, no target gets it."""
        await self._try(self.notifications.send(Notice.RENEWED, lineage, detail))

    async def record(self, *happened: Happened) -> None:
        """Add it to the history."""
        await record(self.history, *happened)

    async def report(self, lineage: str, record: LineageRecord) -> None:
        """Send the notice that the administrator has not received yet. If it cannot be sent, it stays owed."""
        failure, schedule = record.failure, record.schedule
        notice = owed(record, self.clock.now())
        if notice is None:
            return
        if not await self._try(self.notifications.send(notice, lineage, _detail(notice, failure, schedule))):
            return
        if notice is Notice.RECOVERY:
            await self.notes.forget_notices(lineage)
        else:
            await self.notes.record_notice(lineage, notice)

    async def _record(self, lineage: Lineage, record: LineageRecord, error: Exception | None) -> Failure | None:
        known, schedule = record.failure, record.schedule
        if error is None:
            if known is not None:
                await self.schedules.forget_failure(lineage.name)
            return None
        if known is not None and not is_about(known, lineage):
            known = None
        ours = error if isinstance(error, WellkeeperError) else WellkeeperError("unexpected error", repr(error))
        moments = turning_points(schedule) if schedule else ()
        failure = backoff.after(known, ours, lineage.name, schedule, self.clock.now(), self.choose, moments)
        failure = with_names(failure, known, ours, lineage)
        await self.schedules.record_failure(failure)
        return failure

    def _occasion(self, lineage: Lineage, error: str = "") -> Occasion:
        live_path = self.certificates.live_path(lineage.name)
        return Occasion((lineage.name,), lineage.identifiers, live_path, error)

    async def _try(self, sending: Awaitable[None]) -> bool:
        """Log a HookError instead of raising it: a failed notice must not fail the renewal."""
        try:
            await sending
        except HookError as error:
            _log.error("%s", error)
            return False
        return True


def _detail(notice: Notice, failure: Failure | None, schedule: Schedule | None) -> str:
    if failure is not None:
        return failure.message
    if notice is Notice.RECOVERY or schedule is None:
        return "it has recovered"
    return f"its renewal was planned for {format_time(schedule.renew_at)}"
