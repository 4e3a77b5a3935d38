"""Work on all certificates of a pass; one that fails never stops another.

A pass obtains what is due, a few certificates at a time, and delivers it with as few reloads as possible: none when
nothing changed. It is idempotent: the next pass continues what this one left undone.

    due ──order──▶ attempt ──install──▶ installed ──reload──▶ reloaded ──verify──▶ served ──(time)──▶ due

    attempt      The key, the CSR and the URL of the order are recorded. A later pass continues that order.
    installed    Recorded as undelivered; live/ points to the version. A later pass delivers it without asking the CA.
    reloaded     nginx has loaded it; recorded as unserved. Later passes verify it, also when nothing is due.
    served       Every handshake that counts returned it, or none can be made (QUIC alone, not on this host).

    The deploy hook runs once nginx has loaded the version, whatever the handshakes return, until it succeeds.

    rolled back  nginx refuses the version: live/ points to the one before. Still undelivered: each try tests it again,
                 and once the refused version is 56 hours old, orders another.
    blocked      A CA is down, asked us to wait, or a limit is used up: recorded until when, per CA or certificate.
    deferred     Due, but its CAs are blocked, or nginx does not answer challenges yet: nothing is ordered or failed.
    returned     nginx refuses handshakes with the version: the one before is live again, once per version.
    failed       A step raised an error: recorded with the time of the next try. The certificate stays where it was.
    waiting      Failed, and that time has not come: a scheduled pass skips it. Then it continues where it stopped.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from wellkeeper_issuer.errors import DeferredError, HookError
from wellkeeper_issuer.model import Due, Lineage
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_issuer.records import Issued
from wellkeeper_issuer.renew import Found, Renewals
from wellkeeper_issuer.renew_partly import renew_partly
from wellkeeper_issuer.reports import Mode, Report, waiting
from wellkeeper_issuer.upkeep.certificate_run import CertificateRun, occasion_after
from wellkeeper_issuer.upkeep.events import delivery_of, issue_of, renewal_of
from wellkeeper_issuer.upkeep.follow_up import FollowUp
from wellkeeper_issuer.upkeep.opening import Opening
from wellkeeper_issuer.upkeep.restoring import can_stand_in
from wellkeeper_issuer.upkeep.verifying import Verifications
from wellkeeper_node.errors import MissingVersionError, ReloadError, WellkeeperError
from wellkeeper_node.model import Flip
from wellkeeper_node.steps import Steps

_log = logging.getLogger(__name__)

_REFUSED_LONG: Final = timedelta(days=2, hours=8)  # three a week: Let's Encrypt allows five for the same names
_PROOFS_AT_ONCE: Final = 8
_RESTORED: Final = "the live files are missing or damaged; version {} from the archive is live instead"
_EXTERNAL: Final = "another client renews it"
_TO_BE_DELIVERED: Final = {
    True: "installed by an earlier pass, not delivered yet",
    False: "installed, but missing in the state; not delivered yet",
}


async def _ready() -> None:
    """Prepare nothing."""


@dataclass
class Passes:
    """Several may run at once; each certificate is worked on by one of them at a time.

    `prepare` is awaited before the first certificate of a pass is obtained; if it raises, none is.
    """

    renewals: Renewals
    delivery: Delivery
    follow_up: FollowUp
    prepare: Callable[[], Awaitable[None]] = _ready
    at_once: int = 8
    _slots: asyncio.Semaphore = field(init=False)
    _proofs: asyncio.Semaphore = field(init=False, default_factory=lambda: asyncio.Semaphore(_PROOFS_AT_ONCE))
    _verifications: Verifications = field(init=False)
    _locks: defaultdict[str, asyncio.Lock] = field(init=False, default_factory=lambda: defaultdict(asyncio.Lock))

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.at_once)
        renewals = self.renewals
        self._verifications = Verifications(
            self.delivery, renewals.certificates, renewals.delivery_records, renewals.clock
        )

    def slot(self, name: str) -> AbstractAsyncContextManager[None]:
        """Return a context manager that keeps passes from working on that certificate; it waits for one that does."""
        return self._locks[name]

    async def run(self, lineages: Sequence[Lineage], mode: Mode = Mode.SCHEDULED) -> list[Report]:
        """Return one report per certificate, in order; raises only what concerns all of them (JournalError)."""
        clock, progress = self.renewals.clock, self.renewals.progress
        runs = [CertificateRun(one, Steps(one.name, clock, progress)) for one in lineages]

        async def open_pass() -> None:
            await self.prepare()
            await self.follow_up.begin(lineages)

        opening = Opening(open_pass)
        try:
            # Interrupted, a group waits until the last one has withdrawn its tokens and recorded its order.
            async with asyncio.TaskGroup() as group:
                for run in runs:
                    group.create_task(self._work(run, opening, mode))
        except ExceptionGroup as every:
            raise every.exceptions[0] from every
        if opening.was_needed:
            await self._close(runs)
        await self._prune([run.lineage for run in runs if run.flip is not None and run.is_to_be_verified])
        return [run.report() for run in runs]

    async def _close(self, runs: Sequence[CertificateRun]) -> None:
        await self.renewals.sources.tidy()
        try:
            await self.follow_up.end(occasion_after(runs))
        except HookError as error:
            for run in runs:
                if run.flip is not None:
                    run.error = run.error or error

    async def _prune(self, lineages: Sequence[Lineage]) -> None:
        try:
            await self.delivery.prune({one.name: one.https_addresses for one in lineages})
        except WellkeeperError as error:
            _log.warning("old versions were not removed: %s", error)  # the next renewal removes them

    async def _work(self, run: CertificateRun, opening: Opening, mode: Mode) -> None:
        """Take one certificate from due to served, and follow up."""
        async with self._locks[run.lineage.name]:
            # Until the lock is released, only this run changes what is recorded about the certificate.
            run.before = run.record = await self.renewals.records.read_lineage(run.lineage.name)
            if mode is Mode.SCHEDULED:
                run.waits = self.follow_up.waits(run.lineage, run.record.failure)
            if run.waits is None:
                await self._renew_and_deliver(run, opening, mode)
                # A result that cannot be recorded is this certificate's error: the others go on.
                await self._guarded(run, self._settle(run))
                await self.follow_up.record(*delivery_of(run))
                if renewal := renewal_of(run):
                    await self.follow_up.announce(run.lineage.name, renewal)
            else:
                await self.follow_up.report(run.lineage.name, run.record)
                run.reason = waiting(run.waits)
            if run.certificate is None:
                await self._guarded(run, self._look(run))

    async def _settle(self, run: CertificateRun) -> None:
        """Record the result. A deferred renewal neither is a failure nor ends one."""
        if run.deferred is None or run.error is not None:
            run.waits = await self.follow_up.settle(run.lineage, run.record, run.error)
        else:
            run.reason = str(run.deferred)
            await self.follow_up.report(run.lineage.name, run.record)

    async def _renew_and_deliver(self, run: CertificateRun, opening: Opening, mode: Mode) -> None:
        with self.delivery.expecting():
            async with self._slots:
                await self._guarded(run, self._obtain(run, opening, mode))
        # Deliver what an earlier pass installed, even if it is due again and that renewal failed.
        if run.flip is not None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._guarded(run, self._deliver(run, run.flip)))
                if run.issued is not None:
                    group.create_task(self._guarded(run, self._plan(run, run.issued)))
        async with self._proofs:
            if run.error is None:
                await self._verify_and_deploy(run)
        run.error = run.error or run.left_out

    async def _verify_and_deploy(self, run: CertificateRun) -> None:
        """Verify what nginx has loaded; the hook runs whatever it serves, unless the version before is live again."""
        if run.is_to_be_verified:
            await self._guarded(run, self._verifications.verify(run))
        has_hook = run.is_loaded and not run.has_returned and run.record.owed_hook
        if has_hook and await self.follow_up.is_owed(run.lineage.name):
            await self._guarded(run, self._deploy(run))

    async def _guarded(self, run: CertificateRun, work: Awaitable[None]) -> None:
        """Await `work` and keep its error with the certificate; the first error counts."""
        try:
            await work
        except DeferredError as error:
            run.deferred = error
        except WellkeeperError as error:
            run.error = run.error or error
        except Exception as error:  # noqa: BLE001 - the one broad except: a defect here must not stop the others
            _log.exception("certificate %s: unexpected error; please report it", run.lineage.name)
            run.error = run.error or error

    async def _obtain(self, run: CertificateRun, opening: Opening, mode: Mode) -> None:
        await self.renewals.await_nginx(mode)
        run.installed = await self.renewals.certificates.installed(run.lineage.name)
        run.is_to_be_verified = self._verifications.is_due(run.record, run.installed)
        if not run.record.is_installed:
            await self._take_up(run)
        lost, is_worth_another = await self._switch_to_undelivered(run, mode)
        if run.installed is None and await self._restore(run):
            lost = None
        found = await self.renewals.look(run.lineage, run.record, run.installed, mode)
        run.record = found.record
        if found.due is None and is_worth_another and not run.lineage.is_external:
            reason = "nginx has refused the last version for days; it may accept a new one"
            found = replace(found, due=Due(run.lineage, reason))
        if found.due is None:
            if lost is not None:
                raise lost
            if run.lineage.is_external and run.flip is None:
                run.reason = _EXTERNAL
            return
        await self.renewals.check_prospects(run.lineage, found, mode)
        await opening()
        await self._renew(run, found, found.due.reason, mode)

    async def _renew(self, run: CertificateRun, found: Found, reason: str, mode: Mode) -> None:
        run.reason = reason
        self.renewals.progress.note(run.lineage.name, f"due: {reason}")
        run.flip, run.issued, run.left_out = await renew_partly(self.renewals, run.lineage, found, run.steps, mode)
        run.record = replace(run.record, attempt=None, owed_hook=run.flip.after)
        await self.follow_up.record(issue_of(run.issued, reason, run.steps))

    async def _plan(self, run: CertificateRun, issued: Issued) -> None:
        run.record = replace(run.record, schedule=await self.renewals.plan(issued, run.record.schedule))

    async def _take_up(self, run: CertificateRun) -> None:
        """Record a version that is installed but missing in a lost state: nginx may not have loaded it."""
        installed = run.installed
        if installed is None or installed.certificate.is_self_signed:
            return
        flip = Flip(run.lineage.name, installed.version, installed.version)
        await self.renewals.delivery_records.record_found(flip)
        run.record = replace(run.record, undelivered=flip)

    async def _switch_to_undelivered(self, run: CertificateRun, mode: Mode) -> tuple[MissingVersionError | None, bool]:
        """Switch to what an earlier pass left undelivered; return why it is lost, and whether to order another."""
        if run.record.undelivered is None:
            return None, False
        if self._verifications.keeps_away(run.record, run.installed, mode):
            return None, self._verifications.is_replaceable(run.record, run.record.undelivered, _REFUSED_LONG)
        try:
            is_worth_another = await self._is_worth_another(run, run.record.undelivered)
        except MissingVersionError as error:
            # A missing version is this certificate's error now, not that of all at the reload.
            return error, False
        run.flip, run.reason = run.record.undelivered, _TO_BE_DELIVERED[run.record.is_installed]
        return None, is_worth_another

    async def _restore(self, run: CertificateRun) -> bool:
        """Make a version of the archive live, and deliver it, if one can stand in for what is missing or damaged."""
        now, name, schedule = self.renewals.clock.now(), run.lineage.name, run.record.schedule
        restored = await self.renewals.certificates.restore(
            name, lambda one: can_stand_in(one, run.lineage, schedule, now)
        )
        if restored is None:
            return False
        flip = Flip(name, restored.version, restored.version)
        await self.renewals.delivery_records.record_found(flip)
        origin = run.record.origin if schedule is not None and schedule.version == restored.version else None
        run.record = replace(run.record, undelivered=flip, is_installed=True, origin=origin)
        run.installed, run.flip, run.reason = restored, flip, _RESTORED.format(restored.version)
        _log.warning("certificate %s: %s", name, run.reason)
        return True

    async def _is_worth_another(self, run: CertificateRun, flip: Flip) -> bool:
        """Return whether nginx rolled this version back so long ago that a new one is worth an order.

        Switches to the version once more. nginx may refuse it forever, and the old one must not expire meanwhile.
        """
        live, failure, certificates = run.installed, run.record.failure, self.renewals.certificates
        is_rolled_back = flip.before != flip.after and (live.version if live else None) == flip.before
        was_refused = is_rolled_back and failure is not None and failure.stage == ReloadError.stage
        await certificates.switch(flip.lineage, flip.after)
        run.installed = await certificates.installed(flip.lineage)
        if not was_refused or run.installed is None:
            return False
        return self.renewals.clock.now() - run.installed.certificate.not_before > _REFUSED_LONG

    async def _deliver(self, run: CertificateRun, flip: Flip) -> None:
        run.steps.seconds["reload"] = await self.delivery.deliver(flip)
        run.is_to_be_verified = True

    async def _deploy(self, run: CertificateRun) -> None:
        with run.steps.step("deploy"):
            await self.follow_up.deploy(run.lineage)

    async def _look(self, run: CertificateRun) -> None:
        if run.flip is not None or run.installed is None:
            # A reload may have rolled it back, or it was not read yet.
            run.installed = await self.renewals.certificates.installed(run.lineage.name)
        run.certificate = run.installed.certificate if run.installed else None
