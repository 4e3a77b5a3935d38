"""Run the stages for one certificate, in order: due, order, publish, validate, finalize, install.

First issuance and renewal share this path, and an attempt that a crash left in the state is resumed. Delivery follows
for all certificates of a window together (`wellkeeper_node.deliver.batch`).
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import DatesError, DeferredError, FinalizeError, OrderError
from wellkeeper_issuer.model import Attempt, Due, Lineage, Ordered, Status
from wellkeeper_issuer.obtain.due import due, reason_of
from wellkeeper_issuer.obtain.finalize import finalize
from wellkeeper_issuer.obtain.learned_fetches import LearnedFetches
from wellkeeper_issuer.obtain.order import order
from wellkeeper_issuer.obtain.publish import ReadBacks, answers, expiring_at, publish
from wellkeeper_issuer.obtain.reach import Locations
from wellkeeper_issuer.obtain.refused_names import naming_refused
from wellkeeper_issuer.obtain.request import Requests
from wellkeeper_issuer.obtain.validate import validate
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.ports.state import Attempts, DeliveryRecords, LineageRecords
from wellkeeper_issuer.records import Issued, LineageRecord, Origin, Schedule
from wellkeeper_issuer.reports import Mode
from wellkeeper_issuer.upkeep.planner import RenewalPlanner
from wellkeeper_issuer.upkeep.sources import Source, Sources, is_of_the_ca
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.install import install
from wellkeeper_node.errors import ReloadError, Retry, WellkeeperError
from wellkeeper_node.model import Flip, Installed, Pair
from wellkeeper_node.ports import Certificates, Clock, Nginx, Progress, Responders
from wellkeeper_node.steps import Steps
from wellkeeper_node.wording import counted

# The first retry after such an error, unless the CA named a time.
_FIRST_RETRY: Final = {
    Retry.SOON: timedelta(minutes=1),
    Retry.LATER: timedelta(minutes=100),
    Retry.NEVER: timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Found:
    """The facts about a certificate that were read before its renewal; the steps do not read them again.

    `issued` is the attempt of a pass that ended between the CA's certificate and the record of its installation, with
    its chain. `due` is None when the certificate need not be renewed.
    """

    record: LineageRecord
    installed: Installed | None
    issued: Attempt | None = None
    due: Due | None = None


def _permitted() -> None:
    """Permit everything."""


@dataclass(frozen=True, slots=True)
class Renewals:
    """Everything that a renewal works with; with `is_staging` the CA is a test CA for this run.

    `permit` raises DeferredError while nothing may be obtained.
    """

    sources: Sources
    planner: RenewalPlanner
    records: LineageRecords
    attempts: Attempts
    delivery_records: DeliveryRecords
    responders: Responders
    read_backs: ReadBacks
    learned_fetches: LearnedFetches
    locations: Locations
    requests: Requests
    certificates: Certificates
    nginx: Nginx
    clock: Clock
    progress: Progress
    is_staging: bool = False
    permit: Callable[[], None] = _permitted

    async def look(self, lineage: Lineage, record: LineageRecord, installed: Installed | None, mode: Mode) -> Found:
        """Return whether the certificate is due, with what was found. Asks the CA's renewalInfo when it is time to."""
        attempt = await self.without_unusable_chain(lineage, record.attempt)
        issued = attempt if attempt and attempt.under_way.is_issued_for(lineage) else None
        if issued or (mode is Mode.FORCED and not lineage.is_external):
            # live/ may even point to what was issued, but nginx has not loaded it.
            reason = "asked for" if mode is Mode.FORCED else reason_of(lineage)
            return Found(replace(record, attempt=attempt), installed, issued, Due(lineage, reason))
        if self.is_staging and installed and not lineage.is_external:
            self._check_replaceable(lineage, installed, record.origin)
        schedule, origin = record.schedule, record.origin
        if mode is Mode.REVOKED and installed and not (installed.certificate.is_self_signed or lineage.is_external):
            schedule = await self.planner.replace_soon(installed, schedule, origin)
        schedule = await self.planner.schedule(installed, schedule, origin)
        record = replace(record, attempt=attempt, schedule=schedule or record.schedule)
        return Found(record, installed, due=due(lineage, installed, schedule, now=self.clock.now()))

    async def check_prospects(self, lineage: Lineage, found: Found, mode: Mode) -> None:
        """Before the first order, raise DeferredError while nginx does not answer challenges for a name.

        Then, and before every other order, raise ReloadError or InstallError if its certificate could not be loaded.
        """
        self.permit()
        if found.issued is not None:
            return
        is_first = found.installed is None or found.installed.certificate.is_self_signed
        is_begun = found.record.attempt is not None and found.record.attempt.order_url is not None
        if is_first and not is_begun and mode is not Mode.FORCED:
            await self.locations.reach(lineage)  # every few seconds at first, so no write to the disk comes before it
        if self.sources.starting and mode is Mode.SCHEDULED:
            await self.sources.starting.await_responders()
        await self.certificates.prove(lineage.name)
        await self._prove_nginx(lineage, found.installed, mode)

    async def await_nginx(self, mode: Mode) -> None:
        """Raise DeferredError while nginx may only not have started yet, beside a daemon that has."""
        if self.sources.starting and mode is Mode.SCHEDULED:
            await self.sources.starting.await_nginx(self.nginx)

    async def _prove_nginx(self, lineage: Lineage, installed: Installed | None, mode: Mode) -> None:
        """Raise ReloadError if nginx could not be reloaded, unless the order must not wait for it."""
        try:
            await self.nginx.prove()
        except ReloadError as error:
            if not (reason := self._reason_not_to_wait(lineage, installed, mode)):
                raise
            self.progress.note(lineage.name, f"WARNING: {error} (ordering anyway: {reason})")

    def _reason_not_to_wait(self, lineage: Lineage, installed: Installed | None, mode: Mode) -> str:
        """Return why to order although nginx here does not run, or "".

        One that is stopped for months, as on a standby host, must not find an expired certificate when it starts.
        """
        if mode is Mode.REVOKED:
            return "the certificate must be replaced"
        if self.read_backs.without(lineage.without_nodes).has_remote_nodes():
            return "other nodes wait for the certificate"
        expiring = expiring_at(installed)
        is_expiring = expiring is not None and self.clock.now() >= expiring
        return "the certificate expires soon" if is_expiring else ""

    def _check_replaceable(self, lineage: Lineage, installed: Installed, origin: Origin | None) -> None:
        """Raise OrderError if a test CA's certificate, which no client trusts, would replace another CA's."""
        is_its_own = origin is not None and origin.directory_url in lineage.directory_urls
        if not is_its_own and not installed.certificate.is_self_signed:
            live_path, ca = self.certificates.live_path(lineage.name), installed.certificate.issued_by
            raise OrderError(
                f"refused to replace {live_path} with a test certificate",
                f"it holds a certificate of {ca}, and clients do not trust those of --staging",
                "Add --force to replace it anyway, or try with 'wellkeeper rehearse'.",
                retry=Retry.NEVER,
            )

    async def renew(self, lineage: Lineage, found: Found, steps: Steps, mode: Mode) -> tuple[Flip, Issued]:
        """Obtain and install; return the flip to deliver, and what was issued, to be planned meanwhile.

        Raises the error of the stage that failed, with everything withdrawn.
        """
        issued = found.issued or await self._obtain(lineage, found, steps, mode)
        pair = Pair(issued.certificate_key_pem, issued.chain_pem or b"")
        earlier = found.record.undelivered
        if earlier is not None:
            # The reload of a cancelled pass may have ended since that was read.
            earlier = (await self.delivery_records.undelivered([lineage.name])).get(lineage.name)
        with steps.step("install") as step:
            flip = await install(lineage.name, pair, self.certificates, lambda flip: self._record(flip, earlier))
            flip = _since(earlier, flip)
            step.detail = f"{self.certificates.live_path(lineage.name)} is version {flip.after}"
        leaf, has_key = reading.read_certificate(pair.chain_pem), bool(pair.certificate_key_pem)
        origin = Origin(issued.directory_url, issued.account_url)
        return flip, Issued(Installed(lineage.name, flip.after, leaf, has_key), origin)

    async def plan(self, issued: Issued, earlier: Schedule | None) -> Schedule | None:
        """Return the schedule of a new version, which replaced that of the earlier schedule, if there was one.

        RFC 9773 section 4.3.2 has renewalInfo asked for right after issuance; best awaited while nginx reloads.
        """
        return await self.planner.schedule(issued.installed, earlier, issued.origin)

    async def _record(self, flip: Flip, earlier: Flip | None) -> None:
        await self.delivery_records.record_flip(_since(earlier, flip))

    async def without_unusable_chain(self, lineage: Lineage, attempt: Attempt | None) -> Attempt | None:
        """Return the attempt; forget it and return None if its chain has expired or is not what was ordered."""
        if attempt is None or attempt.chain_pem is None or not attempt.under_way.is_issued_for(lineage):
            return attempt
        try:
            pki.check_chain(attempt.chain_pem, attempt.csr_der, attempt.identifiers, self.clock.now())
        except DatesError:
            if reading.read_certificate(attempt.chain_pem).not_after > self.clock.now():
                raise
            await self.attempts.forget_attempt(lineage.name)  # it was valid, and has expired since
            return None
        except FinalizeError:
            await self.attempts.forget_attempt(lineage.name)
            return None
        return attempt

    async def _obtain(self, lineage: Lineage, found: Found, steps: Steps, mode: Mode) -> Attempt:
        """Return the attempt at the first CA of the list that issues the certificate, with its chain."""
        directory_urls, errors = _in_order(lineage, found.record.attempt), list[WellkeeperError]()
        for directory_url in directory_urls:
            try:
                async with self.sources.source(lineage, directory_url, found.record.schedule, mode) as source:
                    return await self._obtain_from(source, lineage, found, steps)
            except WellkeeperError as error:
                errors.append(error)
                if not is_of_the_ca(error):
                    raise
                if len(errors) < len(directory_urls):
                    self.progress.note(lineage.name, f"WARNING: {error} (trying the next CA of the list)")
        raise self._together(errors)

    def _together(self, errors: Sequence[WellkeeperError]) -> WellkeeperError:
        """Return the error with the earliest retry: one CA that never issues must not delay another that soon may."""
        now = self.clock.now()
        soonest = min(errors, key=lambda error: error.retry_at or now + _FIRST_RETRY[error.retry])
        failed = [error for error in errors if not isinstance(error, DeferredError)]
        if isinstance(soonest, DeferredError) and failed:
            first = failed[0]
            why = f"{first.why}; {soonest}" if first.why else str(soonest)
            return OrderError(first.what, why, first.remedy, retry_at=soonest.retry_at, problem=first.problem)
        return soonest

    async def _obtain_from(self, source: Source, lineage: Lineage, found: Found, steps: Steps) -> Attempt:
        ca, terms = source.ca, replace(source.terms, request=self.requests.request)
        with steps.step("order") as step, naming_refused(lineage):
            attempt, ordered = await order(lineage, ca, self.attempts, found.record.attempt, terms)
            step.detail = _describe(ordered)
        try:
            await self._prove(ca, ordered, found.installed, steps, self.read_backs.without(lineage.without_nodes))
        finally:  # only now: the CA may still have been fetching them for the order of a process that was killed
            await self.responders.withdraw_left(lineage.name)
        await self.sources.check_alone()  # while this process was paused, another issuer may have taken over
        with steps.step("finalize") as step, naming_refused(lineage):
            chain_pem = await finalize(attempt, ordered.order, ca, self.attempts, self.clock)
            step.detail = f"chain of {chain_pem.count(b'-----BEGIN')} certificates"
        return replace(attempt, chain_pem=chain_pem)

    async def _prove(
        self,
        ca: CertificateAuthority,
        ordered: Ordered,
        installed: Installed | None,
        steps: Steps,
        read_backs: ReadBacks,
    ) -> None:
        if ordered.order.status is not Status.PENDING:
            return
        wanted = answers(ordered, ca.thumbprint)
        async with AsyncExitStack() as published:
            with steps.step("publish") as step:
                until = expiring_at(installed)
                publishing = publish(wanted, self.responders, read_backs, steps.lineage, until)
                await published.enter_async_context(publishing)
                step.detail = f"{counted(len(wanted), 'token')}, read back through nginx"
            with steps.step("validate") as step:
                steps.fetched_by = await validate(ordered, ca, self.responders, self.clock, self.learned_fetches)
                step.detail = ", ".join(str(authorization.identifier) for authorization in ordered.authorizations)


def _in_order(lineage: Lineage, attempt: Attempt | None) -> Sequence[str]:
    """Return the directories of the CAs as the settings prefer them, but first the one with an open order."""
    begun = attempt.directory_url if attempt and attempt.order_url else None
    return sorted(lineage.directory_urls, key=lambda url: url != begun)


def _since(earlier: Flip | None, flip: Flip) -> Flip:
    """Return the flip from the version that nginx loaded last; it may not accept the version in between."""
    return flip if earlier is None else replace(flip, before=earlier.before)


def _describe(ordered: Ordered) -> str:
    if ordered.order.status is not Status.PENDING:
        return f"{ordered.order.url}, already {ordered.order.status}"
    valid = sum(authorization.status is Status.VALID for authorization in ordered.authorizations)
    known = f", {valid} already valid" if valid else ""
    return f"{ordered.order.url}, {counted(len(ordered.authorizations), 'authorization')}{known}"
