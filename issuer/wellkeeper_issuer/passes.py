"""Works on all certificates that a pass is asked for; one that fails never stops another.

A pass obtains what is due, a few certificates at a time, and delivers it with as few reloads as possible: none when
nothing changed. It is idempotent: the next pass continues what this one left undone.

    due ──order──▶ attempt ──install──▶ installed ──reload──▶ reloaded ──verify──▶ served ──(time)──▶ due

    attempt      The key, the CSR and the URL of the order are recorded. A later pass continues that order.
    installed    Recorded as undelivered; live/ points to the version. A later pass delivers it without asking the CA.
    reloaded     nginx has loaded it; recorded as unserved. Later passes verify it, also when nothing is due.
    served       Every handshake that counts brought it. The deploy hook runs, if it is still owed.

    rolled back  nginx refuses the version: live/ points to the one before. Still undelivered: each try tests it again,
                 and once the refused version is 56 hours old, orders another.
    blocked      A CA is down or asked us to wait, or one of its limits is used up: recorded until when, for the CA or
                 for one of its certificates.
    deferred     Due, but its CAs are blocked: nothing is ordered, and that is no failure. Due again when a block ends.
    failed       A step raised an error: recorded with the time of the next try. The certificate stays where it was.
    waiting      Failed, and that time has not come: a scheduled pass skips it. Then it continues where it stopped.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from wellkeeper_issuer.errors import DeferredError, HookError
from wellkeeper_issuer.model import Due, Lineage
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_issuer.renew import Renewals
from wellkeeper_issuer.reports import Mode, Report, waiting
from wellkeeper_issuer.upkeep.certificate_run import CertificateRun
from wellkeeper_issuer.upkeep.follow_up import FollowUp
from wellkeeper_node.errors import InstallError, WellkeeperError
from wellkeeper_node.model import Flip
from wellkeeper_node.steps import Steps

_log = logging.getLogger(__name__)

# Three a week: Let's Encrypt issues five certificates for the same names in seven days.
_REFUSED_LONG: Final = timedelta(days=2, hours=8)
_PROOFS_AT_ONCE: Final = 8
_TO_BE_DELIVERED: Final = {
    True: "installed by an earlier pass, to be delivered",
    False: "installed, but the journal does not know it; to be delivered",
}


class _Opening:
    """What comes before the first certificate of a pass is obtained: once, and its failure is everybody's."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._task: asyncio.Future[None] | None = None

    async def __call__(self) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._work())
        await asyncio.shield(self._task)

    @property
    def was_needed(self) -> bool:
        return self._task is not None


async def _ready() -> None:
    """Nothing has to be there."""


@dataclass
class Passes:
    """Several may run at once; each certificate is worked on by one of them at a time.

    `prepare` is awaited before the first certificate of a pass is obtained; it raises what keeps all from it.
    """

    renewals: Renewals
    delivery: Delivery
    follow_up: FollowUp
    prepare: Callable[[], Awaitable[None]] = _ready
    at_once: int = 8
    _turns: asyncio.Semaphore = field(init=False)
    _proofs: asyncio.Semaphore = field(init=False, default_factory=lambda: asyncio.Semaphore(_PROOFS_AT_ONCE))
    _locks: defaultdict[str, asyncio.Lock] = field(init=False, default_factory=lambda: defaultdict(asyncio.Lock))

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.at_once)

    def turn(self, name: str) -> AbstractAsyncContextManager[None]:
        """For what must not happen while a pass works on that certificate: entered when none does, and keeps it so."""
        return self._locks[name]

    async def run(self, lineages: Sequence[Lineage], mode: Mode = Mode.SCHEDULED) -> list[Report]:
        """One report a certificate, in order; raises only what concerns all of them (the journal)."""
        renewals = self.renewals
        known = await renewals.delivery_records.installed([lineage.name for lineage in lineages])
        runs = [
            CertificateRun(one, Steps(one.name, renewals.clock, renewals.progress), one.name in known)
            for one in lineages
        ]

        async def open_pass() -> None:
            await self.prepare()
            await self.follow_up.begin(lineages)

        opening = _Opening(open_pass)
        try:
            # Interrupted, a group waits until the last one has withdrawn its tokens and recorded its order.
            async with asyncio.TaskGroup() as group:
                for run in runs:
                    group.create_task(self._work(run, opening, mode))
        except ExceptionGroup as every:
            raise every.exceptions[0] from every
        if opening.was_needed:
            await self._close(runs)
        return [run.report() for run in runs]

    async def _close(self, runs: Sequence[CertificateRun]) -> None:
        await self.renewals.sources.tidy()
        try:
            await self.follow_up.end([run.lineage for run in runs])
        except HookError as error:
            for run in runs:
                if run.flip is not None:
                    run.error = run.error or error

    async def _work(self, run: CertificateRun, opening: _Opening, mode: Mode) -> None:
        """One certificate from due to served, and what follows of it."""
        async with self._locks[run.lineage.name]:
            if mode is Mode.SCHEDULED:
                run.waits = await self.follow_up.waits(run.lineage.name)
            if run.waits is None:
                await self._renew_and_deliver(run, opening, mode)
                # What cannot be written down is this certificate's error as well: the others go on.
                await self._guarded(run, self._settle(run))
            else:
                await self.follow_up.tell(run.lineage.name)
                run.reason = waiting(run.waits)
            if run.certificate is None:
                await self._guarded(run, self._look(run))

    async def _settle(self, run: CertificateRun) -> None:
        """What was not tried is no failure, and ends none."""
        if run.deferred is None or run.error is not None:
            run.waits = await self.follow_up.settle(run.lineage, run.error)
        else:
            run.reason = str(run.deferred)
            await self.follow_up.tell(run.lineage.name)

    async def _renew_and_deliver(self, run: CertificateRun, opening: _Opening, mode: Mode) -> None:
        with self.delivery.expecting():
            async with self._turns:
                await self._guarded(run, self._obtain(run, opening, mode))
        # What an earlier pass installed is delivered also when it is due again and that failed.
        if run.flip is not None:
            await self._guarded(run, self._deliver(run, run.flip))
        async with self._proofs:
            if run.is_to_be_verified and run.error is None:
                await self._guarded(run, self._verify(run))
            if run.error is None and await self.follow_up.is_owed(run.lineage.name):
                await self._guarded(run, self._deploy(run))

    async def _guarded(self, run: CertificateRun, work: Awaitable[None]) -> None:
        """Where the failure of one certificate ends; the first one is told."""
        try:
            await work
        except DeferredError as error:
            run.deferred = error
        except WellkeeperError as error:
            run.error = run.error or error
        except Exception as error:  # noqa: BLE001 - the one broad except: a defect here must not stop the others
            _log.exception("certificate %s: unexpected error; please report it", run.lineage.name)
            run.error = run.error or error

    async def _obtain(self, run: CertificateRun, opening: _Opening, mode: Mode) -> None:
        records, name = self.renewals.delivery_records, run.lineage.name
        run.is_to_be_verified = name in await records.unserved([name])
        if not run.is_known:
            await self._take_up(run)
        undelivered = (await records.undelivered([name])).get(name)
        lost: InstallError | None = None
        is_worth_another = False
        if undelivered is not None:
            try:
                is_worth_another = await self._is_worth_another(undelivered)
                run.flip, run.reason = undelivered, _TO_BE_DELIVERED[run.is_known]
            except InstallError as error:
                # A version that is gone is this certificate's error now, not everybody's at the reload.
                lost = error
        due = await self.renewals.due(run.lineage, mode)
        if due is None and is_worth_another:
            due = Due(run.lineage, "nginx has refused the last version for days; it may take another")
        if due is None:
            if lost is not None:
                raise lost
            return
        await opening()
        run.reason = due.reason
        self.renewals.progress.note(name, f"due: {due.reason}")
        run.flip = await self.renewals.renew(run.lineage, run.steps, mode)

    async def _take_up(self, run: CertificateRun) -> None:
        """What is installed though the journal does not know it, since it was lost: nginx may not have read it yet."""
        name = run.lineage.name
        # Another pass may have worked on it in the meantime.
        run.is_known = name in await self.renewals.delivery_records.installed([name])
        installed = await self.renewals.certificates.installed(name)
        if run.is_known or installed is None or installed.certificate.is_self_signed:
            return
        await self.renewals.delivery_records.record_found(Flip(name, installed.version, installed.version))

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

    async def _deliver(self, run: CertificateRun, flip: Flip) -> None:
        run.steps.seconds["reload"] = await self.delivery.deliver(flip)
        run.is_to_be_verified = True

    async def _verify(self, run: CertificateRun) -> None:
        name = run.lineage.name
        with run.steps.step("verify") as step:
            verified = await self.delivery.verify(name)
            run.certificate, run.served = verified.certificate, verified.served
            step.detail = verified.served.detail if verified.served.is_served else "not used by nginx yet"
        if verified.served.is_served:
            await self.renewals.delivery_records.record_served(name)

    async def _deploy(self, run: CertificateRun) -> None:
        with run.steps.step("deploy"):
            await self.follow_up.deploy(run.lineage)

    async def _look(self, run: CertificateRun) -> None:
        installed = await self.renewals.certificates.installed(run.lineage.name)
        run.certificate = installed.certificate if installed else None
