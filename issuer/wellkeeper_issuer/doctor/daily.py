"""Run the cheap checks daily in the daemon, and report each failing finding once: in the log and by notification.

The notices that were sent are on disk, so that a restart repeats none; the findings themselves are kept in memory.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from wellkeeper_issuer.ports.people import Notifications
from wellkeeper_issuer.ports.state import Notes
from wellkeeper_issuer.records import Notice
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

# First in the second hour after the start, which may be busy; hosts that start together are spread over that hour.
_FIRST_SECONDS: Final = 3600.0
_DAY_SECONDS: Final = 24 * 3600.0
# Certificates, whose notices are in the same table, cannot have such names.
_PREFIX: Final = "doctor/"


@dataclass(slots=True)
class DailyChecks:
    """`examine` runs the checks; `notifications` returns those of the present settings; `choose` a number below 1."""

    examine: Callable[[], Awaitable[Sequence[Finding]]]
    notes: Notes
    notifications: Callable[[], Notifications]
    clock: Clock
    choose: Callable[[], float]
    failing: Sequence[Finding] = ()
    checked_at: datetime | None = None

    async def run(self) -> None:
        """Check daily until cancelled; an error is logged and never ends it."""
        await self.clock.sleep(_FIRST_SECONDS * (1 + self.choose()))
        while True:
            try:
                await self._check()
            except Exception as error:  # noqa: BLE001 - a background task
                _log.error("the daily checks failed: %s", error if isinstance(error, WellkeeperError) else repr(error))
            await self.clock.sleep(_DAY_SECONDS)

    def to_json(self) -> dict[str, Any]:
        """Return what fails, and when that was checked: null before the first time."""
        at = self.checked_at.isoformat(timespec="seconds") if self.checked_at else None
        return {"checked_at": at, "findings": [asdict(one) for one in self.failing]}

    async def _check(self) -> None:
        found = await self.examine()
        self.failing = [one for one in found if one.verdict is Verdict.FAIL]
        self.checked_at = self.clock.now()
        reported = {key for key in await self.notes.read_notices() if key.startswith(_PREFIX)}
        for finding in self.failing:
            if _key(finding) not in reported:
                await self._report(finding)
        # The checks that were skipped, or that failed as a whole, may still fail.
        present = {_key(one) for one in self.failing}
        unknown = {one.check for one in found if one.verdict is Verdict.SKIPPED}
        unknown |= {one.check for one in self.failing if not one.subject}
        for key in reported - present:
            check = key.split("/")[1]
            if check not in unknown:
                await self.notes.forget_notices(key)
                _log.info("doctor: %s no longer fails", check)

    async def _report(self, finding: Finding) -> None:
        text = _sentence(finding)
        _log.error("doctor: %s (run 'wellkeeper doctor')", text)
        try:
            await self.notifications().send(Notice.FINDING, "", text)
        except WellkeeperError as error:
            _log.warning("%s", error)  # tomorrow, it is reported again
        else:
            await self.notes.record_notice(_key(finding), Notice.FINDING)


def _key(finding: Finding) -> str:
    return f"{_PREFIX}{finding.check}/{finding.subject}"


def _sentence(finding: Finding) -> str:
    about = f"{finding.subject}: " if finding.subject else ""
    return f"{about}{finding.cause}. {finding.fix}"
