"""Plan the renewal of each certificate: once per version, and again whenever its CA answers (RFC 9773)."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from wellkeeper_issuer.obtain.due import is_to_be_asked, news, plan, replan
from wellkeeper_issuer.obtain.early import held_until
from wellkeeper_issuer.ports.ca import RenewalInfos
from wellkeeper_issuer.ports.state import Schedules
from wellkeeper_issuer.records import NoRenewalInfo, Origin, Rule, Schedule
from wellkeeper_node.model import Installed
from wellkeeper_node.ports import Clock, Progress
from wellkeeper_node.wording import format_time

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RenewalPlanner:
    """`choose` returns a random number between 0 and 1; a chosen time is kept on disk, and not chosen again."""

    schedules: Schedules
    infos: RenewalInfos
    clock: Clock
    progress: Progress
    choose: Callable[[], float]

    async def schedule(
        self, installed: Installed | None, known: Schedule | None, origin: Origin | None
    ) -> Schedule | None:
        """Return the time of renewal, and record it if it is new; ask the CA for it when that is due.

        `known` is the recorded schedule, of this version or another; `origin` is who issued what is installed. Return
        None when no CA issued it.
        """
        if installed is None or installed.certificate.is_self_signed:
            return None
        is_current = known is not None and known.version == installed.version
        schedule = known if known and is_current else self._plan(installed, known, origin)
        if is_to_be_asked(schedule, self.clock.now()):
            schedule = await self._ask(schedule)
        if schedule != known:
            await self.schedules.record_schedule(schedule)
        return schedule

    def _plan(self, installed: Installed, earlier: Schedule | None, origin: Origin | None) -> Schedule:
        now, lifetime = self.clock.now(), installed.certificate.lifetime
        return replace(plan(installed, origin, now, self.choose), held_until=held_until(earlier, lifetime, now))

    async def replace_soon(self, installed: Installed, known: Schedule | None, origin: Origin | None) -> Schedule:
        """Record that the installed certificate is due now, as it was revoked, and return its schedule. Idempotent."""
        return await record_revoked(self.schedules, known, installed, origin, self.clock.now())

    async def _ask(self, schedule: Schedule) -> Schedule:
        if not schedule.directory_url or schedule.certificate_id is None:
            return schedule
        answer = await self.infos.ask(schedule.directory_url, schedule.certificate_id)
        following = replan(schedule, answer, self.clock.now(), self.choose)
        if isinstance(answer, NoRenewalInfo):
            if answer.is_unreached and schedule.unanswered:
                return following  # said once for each outage
            self.progress.note(schedule.lineage, f"the CA did not give renewal info: {answer.reason}")
        elif following.renew_at != schedule.renew_at:
            # The certificate is renewed before a window that begins too late.
            where = "before" if following.window and following.renew_at < following.window.start else "inside"
            why = f", see {following.explanation_url}" if following.explanation_url else ""
            self.progress.note(
                schedule.lineage,
                f"renewal planned for {format_time(following.renew_at)}, {where} the CA's window{why}",
            )
        if message := news(schedule, following):
            _log.warning("certificate %s: %s", schedule.lineage, message)
        return following


async def record_revoked(
    schedules: Schedules, known: Schedule | None, installed: Installed, origin: Origin | None, now: datetime
) -> Schedule:
    """Record that the certificate was revoked: it is due from now on, and its CA is not asked when. Idempotent.

    `known` is the schedule that was recorded before. Return the one that is recorded now.
    """
    schedule = known
    if schedule is None or schedule.version != installed.version:
        schedule = plan(installed, origin, now, lambda: 0.5)  # its time of renewal is replaced below
    if schedule.rule is not Rule.REVOKED:
        schedule = replace(schedule, rule=Rule.REVOKED, renew_at=now, ask_at=None)
        await schedules.record_schedule(schedule)
    return schedule


async def record_exposed(schedules: Schedules, names: Iterable[str], now: datetime) -> None:
    """Record that others may have the keys of these: they are due from now on, like revoked ones. Idempotent."""
    for name in names:
        known = await schedules.read_schedule(name)
        if known is not None and known.rule is not Rule.REVOKED:
            await schedules.record_schedule(replace(known, rule=Rule.REVOKED, renew_at=now, ask_at=None))
