"""The stages in order, for one certificate: due, order, publish, validate, finalize, install.

First issuance and renewal are this one path; what a crash left in the journal is gone on with. Delivery follows for
all certificates of a window together (`wellkeeper_node.deliver.batch`).
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import DatesError, DeferredError, FinalizeError, OrderError
from wellkeeper_issuer.model import Due, Lineage, Ordered, Status
from wellkeeper_issuer.obtain.due import ISSUED, due
from wellkeeper_issuer.obtain.finalize import finalize
from wellkeeper_issuer.obtain.order import order
from wellkeeper_issuer.obtain.publish import ReadBacks, answers, expiring_at, publish
from wellkeeper_issuer.obtain.request import Requests
from wellkeeper_issuer.obtain.validate import validate
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.ports.state import Attempts, DeliveryRecords
from wellkeeper_issuer.reports import Mode
from wellkeeper_issuer.upkeep.planner import RenewalPlanner
from wellkeeper_issuer.upkeep.sources import Source, Sources, is_of_the_ca
from wellkeeper_node.certificates import reading
from wellkeeper_node.deliver.install import install
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.model import Flip, Installed, Pair
from wellkeeper_node.ports import Certificates, Clock, Progress, Responders
from wellkeeper_node.steps import Steps
from wellkeeper_node.wording import counted

# When the first try after such an error is, unless somebody said so.
_HOPES: Final = {Retry.SOON: timedelta(minutes=1), Retry.LATER: timedelta(minutes=100), Retry.NEVER: timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class Renewals:
    """What a renewal needs of the world; with `is_staging` the CA is a test CA for this once."""

    sources: Sources
    planner: RenewalPlanner
    attempts: Attempts
    delivery_records: DeliveryRecords
    responders: Responders
    read_backs: ReadBacks
    requests: Requests
    certificates: Certificates
    clock: Clock
    progress: Progress
    is_staging: bool = False

    async def due(self, lineage: Lineage, mode: Mode) -> Due | None:
        """Why the certificate has to be renewed now; None when it need not be. Asks the CA's renewalInfo in passing."""
        if mode is Mode.FORCED:
            return Due(lineage, "asked for")
        if await self._recorded(lineage):
            # Maybe even switched to, but not told to nginx.
            return Due(lineage, ISSUED)
        installed = await self.certificates.installed(lineage.name)
        if self.is_staging and installed:
            await self._check_replaceable(lineage, installed)
        if mode is Mode.REVOKED and installed and not installed.certificate.is_self_signed:
            await self.planner.replace_soon(installed)
        return due(lineage, installed, await self.planner.schedule(installed), now=self.clock.now())

    async def _check_replaceable(self, lineage: Lineage, installed: Installed) -> None:
        """A test CA's certificate is trusted by nobody: it never takes the place of one that may be."""
        origin = await self.delivery_records.read_origin(lineage.name)
        is_its_own = origin is not None and origin.directory_url in lineage.directory_urls
        if not is_its_own and not installed.certificate.is_self_signed:
            live_path, ca = self.certificates.live_path(lineage.name), installed.certificate.issued_by
            raise OrderError(
                f"{live_path} holds a certificate of {ca}, which --staging would replace with one that nobody trusts; "
                "--force does it all the same",
                retry=Retry.NEVER,
            )

    async def renew(self, lineage: Lineage, steps: Steps, mode: Mode) -> Flip:
        """Obtains and installs; raises the error of the stage that failed, with everything withdrawn."""
        pair = await self._recorded(lineage) or await self._obtain(lineage, steps, mode)
        with steps.step("install") as step:
            earlier = (await self.delivery_records.undelivered([lineage.name])).get(lineage.name)
            flip = await install(lineage.name, pair, self.certificates, lambda flip: self._record(flip, earlier))
            flip = _since(earlier, flip)
            step.detail = f"{self.certificates.live_path(lineage.name)} is version {flip.after}"
        # RFC 9773 section 4.3.2 has renewalInfo asked for right after issuance.
        leaf, has_key = reading.read_certificate(pair.chain_pem), bool(pair.certificate_key_pem)
        await self.planner.schedule(Installed(lineage.name, flip.after, leaf, has_key))
        return flip

    async def _record(self, flip: Flip, earlier: Flip | None) -> None:
        await self.delivery_records.record_flip(_since(earlier, flip))

    async def _recorded(self, lineage: Lineage) -> Pair | None:
        """The pair of a pass that ended between the CA's certificate and the record of its installation."""
        attempt = await self.attempts.read_attempt(lineage.name)
        if attempt is None or attempt.chain_pem is None or not attempt.under_way.is_issued_for(lineage):
            return None
        try:
            pki.check_chain(attempt.chain_pem, attempt.csr_der, attempt.identifiers, self.clock.now())
        except DatesError:
            if reading.read_certificate(attempt.chain_pem).not_after > self.clock.now():
                raise
            await self.attempts.forget_attempt(lineage.name)  # it was good once, and has expired since
            return None
        except FinalizeError:
            await self.attempts.forget_attempt(lineage.name)
            return None
        return Pair(attempt.certificate_key_pem, attempt.chain_pem)

    async def _obtain(self, lineage: Lineage, steps: Steps, mode: Mode) -> Pair:
        """From the first CA of the list that issues it."""
        directory_urls, errors = await self._in_order(lineage), list[WellkeeperError]()
        for directory_url in directory_urls:
            try:
                async with self.sources.source(lineage, directory_url, mode) as source:
                    return await self._obtain_from(source, lineage, steps)
            except WellkeeperError as error:
                errors.append(error)
                if not is_of_the_ca(error):
                    raise
                if len(errors) < len(directory_urls):
                    self.progress.note(lineage.name, f"WARNING: {error}; the next CA of the list is asked")
        raise self._together(errors)

    def _together(self, errors: Sequence[WellkeeperError]) -> WellkeeperError:
        """One that will never issue must not keep us from another that may within minutes; what failed is told."""
        now = self.clock.now()
        soonest = min(errors, key=lambda error: error.retry_at or now + _HOPES[error.retry])
        failed = [error for error in errors if not isinstance(error, DeferredError)]
        if isinstance(soonest, DeferredError) and failed:
            return OrderError(f"{failed[0]}; {soonest}", retry_at=soonest.retry_at, problem=failed[0].problem)
        return soonest

    async def _in_order(self, lineage: Lineage) -> Sequence[str]:
        """As the settings prefer them, but what is under way first."""
        attempt = await self.attempts.read_attempt(lineage.name)
        begun = attempt.directory_url if attempt and attempt.order_url else None
        return sorted(lineage.directory_urls, key=lambda url: url != begun)

    async def _obtain_from(self, source: Source, lineage: Lineage, steps: Steps) -> Pair:
        ca, terms = source.ca, replace(source.terms, request=self.requests.request)
        with steps.step("order") as step:
            attempt, ordered = await order(lineage, ca, self.attempts, terms)
            step.detail = _describe(ordered)
        await self._prove(ca, lineage, ordered, steps)
        with steps.step("finalize") as step:
            chain_pem = await finalize(attempt, ordered.order, ca, self.attempts, self.clock)
            step.detail = f"chain of {chain_pem.count(b'-----BEGIN')} certificates"
        return Pair(attempt.certificate_key_pem, chain_pem)

    async def _prove(self, ca: CertificateAuthority, lineage: Lineage, ordered: Ordered, steps: Steps) -> None:
        if ordered.order.status is not Status.PENDING:
            return
        wanted = answers(ordered, ca.thumbprint)

        async def limit() -> datetime | None:
            return expiring_at(await self.certificates.installed(lineage.name))

        async with AsyncExitStack() as published:
            with steps.step("publish") as step:
                publishing = publish(wanted, self.responders, self.read_backs, lineage.name, limit)
                await published.enter_async_context(publishing)
                step.detail = f"{counted(len(wanted), 'token')}, read back through nginx"
            with steps.step("validate") as step:
                await validate(ordered, ca, self.responders, self.clock)
                step.detail = ", ".join(str(authorization.identifier) for authorization in ordered.authorizations)


def _since(earlier: Flip | None, flip: Flip) -> Flip:
    """From what nginx took last; the version in between may be one that it does not take."""
    return flip if earlier is None else replace(flip, before=earlier.before)


def _describe(ordered: Ordered) -> str:
    if ordered.order.status is not Status.PENDING:
        return f"{ordered.order.url}, {ordered.order.status} already"
    valid = sum(authorization.status is Status.VALID for authorization in ordered.authorizations)
    known = f", {valid} of them valid already" if valid else ""
    return f"{ordered.order.url}, {counted(len(ordered.authorizations), 'authorization')}{known}"
