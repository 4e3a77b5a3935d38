"""Which certificate when: one pass over all of them, in which one that fails never stops another.

A pass obtains what is due, a few certificates at a time, then delivers everything new with one reload, and none when
nothing changed. It is idempotent: what it left undone, the next pass goes on with.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from issuer.deliver.reload import reload
from issuer.deliver.verify import verify
from issuer.errors import InstallError, ReloadError, VerifyError, WellkeeperError
from issuer.model import Certificate, Due, Flip, Installed, Lineage, Reloaded, RolledBack, Served
from issuer.ports import Nginx, Probes
from issuer.renew import Renewals
from issuer.reports import Outcome, Report
from issuer.steps import Steps

_log = logging.getLogger(__name__)

# Renewals wait for the CA most of the time; more at once would only reach its limits sooner.
_RENEWALS_AT_ONCE: Final = 4
# Three a week: Let's Encrypt issues five certificates for the same names in seven days.
_REFUSED_LONG: Final = timedelta(days=2, hours=8)


@dataclass
class _Course:
    """What became of one certificate so far in this pass."""

    lineage: Lineage
    steps: Steps
    reason: str = "not due"
    error: Exception | None = None
    flip: Flip | None = None
    served: Served | None = None
    is_to_be_verified: bool = False
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Passes:
    """A pass needs what renewals need, and this host's nginx."""

    renewals: Renewals
    nginx: Nginx
    probes: Probes
    https_addresses: tuple[tuple[str, int], ...]

    async def run(self, lineages: Sequence[Lineage], *, is_forced: bool) -> list[Report]:
        """One report a certificate, in order; raises only what concerns all of them (the journal)."""
        renewals = self.renewals
        courses = [_Course(one, Steps(one.name, renewals.clock, renewals.progress)) for one in lineages]
        undelivered, unserved = await renewals.journal.undelivered(), await renewals.journal.unserved()
        known = await renewals.journal.installed()
        turns = asyncio.Semaphore(_RENEWALS_AT_ONCE)

        async def obtain(course: _Course) -> None:
            async with turns:
                course.is_to_be_verified = course.lineage.name in unserved
                if course.lineage.name not in known:
                    await self._guarded(course, self._take_up(course))
                if course.error is None:
                    await self._guarded(course, self._obtain(course, undelivered, is_forced=is_forced))

        # Interrupted, a group waits until the last one has withdrawn its tokens and recorded its order.
        async with asyncio.TaskGroup() as group:
            for course in courses:
                group.create_task(obtain(course))
        await self._deliver(courses)
        for course in courses:
            if course.is_to_be_verified and course.error is None:
                await self._guarded(course, self._verify(course))
            if course.error is None:
                await self._guarded(course, self._look(course))
        return [_report(course) for course in courses]

    async def _guarded(self, course: _Course, work: Awaitable[None]) -> None:
        """Where the failure of one certificate ends."""
        try:
            await work
        except WellkeeperError as error:
            course.error = error
        except Exception as error:  # noqa: BLE001 - the one broad except: a defect here must not stop the others
            _log.exception("certificate %s: unexpected error; please report it", course.lineage.name)
            course.error = error

    async def _take_up(self, course: _Course) -> None:
        """What is installed though the journal does not know it, since it was lost: nginx may not have read it yet."""
        name = course.lineage.name
        installed = await self.renewals.certificates.installed(name)
        if installed is None or installed.certificate.is_self_signed:
            return
        course.flip = Flip(name, installed.version, installed.version)
        course.reason = "installed, but the journal does not know it; to be delivered"
        await self.renewals.journal.record_found(course.flip)

    async def _obtain(self, course: _Course, undelivered: Mapping[str, Flip], *, is_forced: bool) -> None:
        name = course.lineage.name
        lost: InstallError | None = None
        is_worth_another = False
        if name in undelivered:
            try:
                is_worth_another = await self._is_worth_another(undelivered[name])
                # Also when it is due again and that fails.
                course.flip, course.reason = undelivered[name], "installed by an earlier pass, to be delivered"
            except InstallError as error:
                # A version that is gone is this certificate's error now, not everybody's at the reload.
                lost = error
        due = await self.renewals.due(course.lineage, is_forced=is_forced)
        if due is None and is_worth_another:
            due = Due(course.lineage, "nginx has refused the last version for days; it may take another")
        if due is None:
            if lost is not None:
                raise lost
            return
        course.reason = due.reason
        self.renewals.progress.note(name, f"due: {due.reason}")
        course.flip = await self.renewals.renew(course.lineage, course.steps)

    async def _is_worth_another(self, flip: Flip) -> bool:
        """Whether nginx rolled this version back, so long ago that a new one is worth an order.

        A certificate that is refused once may be refused always; but the old one must not expire over it.
        """
        live = await self.renewals.certificates.installed(flip.lineage)
        was_refused = flip.before != flip.after and (live.version if live else None) == flip.before
        await self.renewals.certificates.switch(flip.lineage, flip.after)
        refused = await self.renewals.certificates.installed(flip.lineage)
        if not was_refused or refused is None:
            return False
        return self.renewals.clock.now() - refused.certificate.not_before > _REFUSED_LONG

    async def _deliver(self, courses: Sequence[_Course]) -> None:
        """One reload for all; what nginx does not take is rolled back and fails alone."""
        delivered = [course for course in courses if course.flip is not None]
        if not delivered:
            return
        flips = [course.flip for course in delivered if course.flip is not None]
        try:
            with Steps(_together(delivered), self.renewals.clock, self.renewals.progress).step("reload") as step:
                reloaded = await reload(flips, self.nginx, self.renewals.certificates, self.renewals.clock)
                step.detail = _told(reloaded)
        except (ReloadError, InstallError) as error:
            for course in delivered:
                course.error = error
            return
        refused = {one.flip.lineage: one for one in reloaded.rolled_back}
        for course in delivered:
            if course.lineage.name in refused:
                course.error = _refusal(refused[course.lineage.name])
            else:
                course.is_to_be_verified = True
                course.steps.seconds["reload"] = reloaded.seconds or 0.0
        taken = [flip.lineage for flip in flips if flip.lineage not in refused]
        await self.renewals.journal.record_reloaded(taken)

    async def _verify(self, course: _Course) -> None:
        name = course.lineage.name
        with course.steps.step("verify") as step:
            installed = await self._installed(name)
            live_path = self.renewals.certificates.live_path(name)
            course.served = await verify(installed, self.https_addresses, self.nginx, live_path, self.probes)
            step.detail = course.served.detail if course.served.is_served else "not used by nginx yet"
        if course.served.is_served:
            await self.renewals.journal.record_served(name)

    async def _installed(self, name: str) -> Installed:
        installed = await self.renewals.certificates.installed(name)
        if installed is None:
            raise VerifyError(
                f"{self.renewals.certificates.live_path(name)} holds no usable certificate any more; "
                "run renew again to obtain one"
            )
        return installed

    async def _look(self, course: _Course) -> None:
        installed = await self.renewals.certificates.installed(course.lineage.name)
        course.certificate = installed.certificate if installed else None


def _report(course: _Course) -> Report:
    return Report(
        lineage=course.lineage.name,
        outcome=_outcome(course),
        reason=course.reason,
        detail=course.served.detail if course.served and not course.served.is_served else "",
        certificate=course.certificate,
        served_fingerprint_sha256=course.served.fingerprint_sha256 if course.served else None,
        seconds=dict(course.steps.seconds),
        error=course.error,
    )


def _outcome(course: _Course) -> Outcome:
    if course.error:
        return Outcome.FAILED
    if course.served is None:
        return Outcome.UNCHANGED
    return Outcome.SERVED if course.served.is_served else Outcome.NOT_SERVED_YET


def _together(courses: Sequence[_Course]) -> str:
    names = [course.lineage.name for course in courses]
    return names[0] if len(names) == 1 else f"{len(names)} certificates"


def _told(reloaded: Reloaded) -> str:
    count = reloaded.finishing_count
    told = ["nothing left to reload" if reloaded.seconds is None else "new workers, none of the old ones accepting"]
    if reloaded.rolled_back:
        told.append(f"{len(reloaded.rolled_back)} rolled back")
    if count:
        told.append(f"{count} old {'worker still finishes' if count == 1 else 'workers still finish'} requests")
    return ", ".join(told)


def _refusal(one: RolledBack) -> ReloadError:
    return ReloadError(
        f"nginx does not take version {one.flip.after} of {one.flip.lineage}, which was rolled back to "
        f"{one.flip.before or 'nothing'}: {one.words}. Look at what the server block asks of it, then run renew again; "
        "'renew NAME --force' obtains another"
    )
