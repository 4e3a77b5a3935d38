"""Describe what a pass did with one certificate: issued, and delivered to this host's nginx or not."""

from collections.abc import Iterator
from typing import Final

from wellkeeper_issuer.records import LOCAL_NODE, Issued, Seen
from wellkeeper_issuer.reports import Outcome
from wellkeeper_issuer.upkeep.certificate_run import CertificateRun
from wellkeeper_node.errors import ReloadError, VerifyError
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.steps import Steps
from wellkeeper_node.wording import format_time

_OUTCOMES: Final = {
    Seen.SERVED: Outcome.SERVED,
    Seen.HIDDEN: Outcome.INSTALLED,
    Seen.UNUSED: Outcome.NOT_SERVED_YET,
}


def issue_of(issued: Issued, reason: str, steps: Steps) -> Happened:
    """Return the event of a certificate that the CA has issued, for this reason, in these stages."""
    installed, origin = issued.installed, issued.origin
    details = {
        "version": installed.version,
        "serial": installed.certificate.serial,
        "ca": origin.directory_url,
        "account": origin.account_url,
        "names": ", ".join(sorted(map(str, installed.certificate.identifiers))),
        "reason": reason,
        "fetched_by": ", ".join(steps.fetched_by),
        "seconds": ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in steps.seconds.items()),
    }
    return Happened(What.CERTIFICATE_ISSUED, installed.lineage, details)


def delivery_of(run: CertificateRun) -> Iterator[Happened]:
    """Yield the version that nginx serves from now on, or its first refusal, with the reason."""
    served, details, has_flip = run.served, {"node": LOCAL_NODE, "version": run.version}, run.flip is not None
    is_first = run.issued is not None or (run.waits is not None and run.waits.count == 1)
    if run.has_returned:
        yield Happened(What.CERTIFICATE_ROLLED_BACK, run.lineage.name, details | {"reason": str(run.error)})
    elif isinstance(run.error, ReloadError | VerifyError) and has_flip and is_first:
        yield Happened(What.CERTIFICATE_REFUSED, run.lineage.name, details | {"reason": str(run.error)})
    elif served is not None and (served.is_served or served.is_hidden):
        state = "served" if served.is_served else "installed"
        yield Happened(What.CERTIFICATE_DELIVERED, run.lineage.name, details | {"state": state})


def renewal_of(run: CertificateRun) -> str:
    """Describe a renewal whose delivery this pass has completed without a failure; "" without one.

    A renewal that failed before still owes its hook, or clients got something else.
    """
    before, check = run.before, run.record.check
    was_wrong = before.is_unserved and before.check is not None and before.check.seen is Seen.WRONG
    installed = run.issued.installed if run.issued else run.installed if before.owed_hook or was_wrong else None
    outcome = _OUTCOMES.get(check.seen) if check else None
    if run.error or not run.is_loaded or installed is None or outcome is None:
        return ""
    return f"{outcome}, valid until {format_time(installed.certificate.not_after)}"
