"""Verify what nginx serves, record what was seen, and go back to the previous version when handshakes are refused.

A version is left at most once: when it, or the one that it replaced, was served, and nginx refuses it in three tries
over ten seconds. That happens when workers read the key themselves (paths with variables), and may not.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from wellkeeper_issuer.obtain.due import check_at
from wellkeeper_issuer.ports.node import Delivery
from wellkeeper_issuer.ports.state import DeliveryRecords
from wellkeeper_issuer.records import Check, LineageRecord, Rule, Seen
from wellkeeper_issuer.reports import Mode
from wellkeeper_issuer.upkeep.certificate_run import CertificateRun
from wellkeeper_issuer.upkeep.proving import prove
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate, Flip, Installed, Verified
from wellkeeper_node.ports import Certificates, Clock


@dataclass(frozen=True, slots=True)
class Verifications:
    """The handshakes of all certificates, and what follows from them."""

    delivery: Delivery
    certificates: Certificates
    delivery_records: DeliveryRecords
    clock: Clock

    def is_due(self, record: LineageRecord, installed: Installed | None) -> bool:
        """Return whether it is time to look at what nginx serves; not before nginx has loaded it."""
        if record.is_unserved:
            return True
        if installed is None or not record.is_installed or record.undelivered is not None:
            return False
        now = self.clock.now()
        return check_at(record.check, installed.certificate.lifetime, now) <= now

    async def verify(self, run: CertificateRun) -> None:
        """Verify and record; raises VerifyError when nginx serves, or served before, something else."""
        is_routine = run.flip is None and not run.record.is_unserved and _seen(run.record) is not Seen.WRONG
        with run.steps.step("verify") as step:
            try:
                verified = await self._ask(run)
            except VerifyError as error:
                await self._record(run, Seen.WRONG, error.leaf)
                raise
            served = verified.served
            is_proven = served.is_served or served.is_hidden
            step.detail = served.detail if is_proven else "no server block uses it yet"
        run.certificate = verified.certificate
        run.served = None if is_routine and is_proven else served
        await self._record(run, Seen.SERVED if served.is_served else Seen.HIDDEN if is_proven else Seen.UNUSED)
        if is_proven and not is_routine:
            await self.delivery_records.record_served(run.lineage.name)

    async def _ask(self, run: CertificateRun) -> Verified:
        """Return what nginx serves; three refusals within ten seconds end with the previous version, if possible."""
        check, was_served = run.record.check, _was_served(run)
        try:
            return await prove(run.lineage, check, self.delivery, self.clock, is_patient=was_served)
        except VerifyError as error:
            if error.is_refused and was_served:
                raise await self._return(run, error) from error
            raise

    async def _return(self, run: CertificateRun, error: VerifyError) -> VerifyError:
        """Make the version before live and loaded again; return the error to report."""
        flip, name, now = _may_return(run), run.lineage.name, self.clock.now()
        if flip is None:
            return error
        restored = await self.certificates.restore(
            name, lambda one: one.version == flip.before and one.certificate.not_after > now
        )
        if restored is None:
            return error
        await self._record(run, Seen.WRONG, returned_from=flip.after)
        await self.delivery.deliver(Flip(name, before=flip.after, after=restored.version))
        await self.delivery_records.record_returned(flip)
        run.installed, run.has_returned = restored, True
        return VerifyError(
            f"nginx refuses TLS handshakes with version {flip.after} of {name}, so {restored.version} is live again",
            error.why,
            f"Let nginx's workers read {self.certificates.live_path(name)}/privkey.pem, then run"
            f" 'wellkeeper renew {name}'.",
        )

    async def _record(
        self, run: CertificateRun, seen: Seen, leaf: Certificate | None = None, returned_from: str | None = None
    ) -> None:
        version, known = run.version, run.record.check
        served_version = known.served_version if known else None
        if seen is Seen.SERVED and not _is_revoked(run.record, version):
            served_version = version
        check = Check(
            run.lineage.name,
            version,
            seen,
            self.clock.now(),
            leaf.not_before if leaf else None,
            leaf.not_after if leaf else None,
            served_version,
            returned_from or (known.returned_from if known else None),
        )
        await self.delivery_records.record_check(check)
        run.record = replace(run.record, check=check)

    def keeps_away(self, record: LineageRecord, installed: Installed | None, mode: Mode) -> bool:
        """Return whether a pass leaves the previous version live, as nginx refused handshakes with the newer one.

        A person may try it again; once the previous version has expired, there is nothing to lose.
        """
        flip, check = record.undelivered, record.check
        if mode is not Mode.SCHEDULED or flip is None or check is None or check.returned_from != flip.after:
            return False
        if installed is None or installed.version != flip.before:
            return False
        return installed.certificate.not_after > self.clock.now()

    def is_replaceable(self, record: LineageRecord, flip: Flip, after: timedelta) -> bool:
        """Return True when the version that is kept away is so old that another is worth an order.

        Raises VerifyError before.
        """
        schedule = record.schedule
        if schedule is not None and self.clock.now() - schedule.not_before > after:
            return True
        raise VerifyError(
            f"version {flip.before} of {flip.lineage} stays live",
            f"nginx refused TLS handshakes with version {flip.after}",
            f"Let nginx's workers read its privkey.pem, then run 'wellkeeper renew {flip.lineage}'.",
        )


def _was_served(run: CertificateRun) -> bool:
    """Return True when the live version, or the one that it replaced, was served."""
    flip, check = _flip(run), run.record.check
    served_version = check.served_version if check else None
    return flip is not None and served_version is not None and served_version in {flip.before, flip.after}


def _may_return(run: CertificateRun) -> Flip | None:
    """Return the flip that may be undone: from another version, and not undone before."""
    flip, check = _flip(run), run.record.check
    if flip is None or flip.before in {None, flip.after}:
        return None
    return None if check is not None and check.returned_from == flip.after else flip


def _flip(run: CertificateRun) -> Flip | None:
    return run.flip or run.record.flip


def _seen(record: LineageRecord) -> Seen | None:
    return record.check.seen if record.check else None


def _is_revoked(record: LineageRecord, version: str) -> bool:
    schedule = record.schedule
    return schedule is not None and schedule.version == version and schedule.rule is Rule.REVOKED
