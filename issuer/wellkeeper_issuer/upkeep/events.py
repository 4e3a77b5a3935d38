"""Describe for the history what a pass did with one certificate: issued, and delivered to this host's nginx or not."""

from collections.abc import Iterator

from wellkeeper_issuer.records import LOCAL_NODE, Issued
from wellkeeper_issuer.upkeep.certificate_run import CertificateRun
from wellkeeper_node.errors import ReloadError, VerifyError
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.steps import Steps


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
    served, details, has_flip = run.served, {"node": LOCAL_NODE, "version": _version(run)}, run.flip is not None
    is_first = run.issued is not None or (run.waits is not None and run.waits.count == 1)
    if run.has_returned:
        yield Happened(What.CERTIFICATE_ROLLED_BACK, run.lineage.name, details | {"reason": str(run.error)})
    elif isinstance(run.error, ReloadError | VerifyError) and has_flip and is_first:
        yield Happened(What.CERTIFICATE_REFUSED, run.lineage.name, details | {"reason": str(run.error)})
    elif served is not None and (served.is_served or served.is_hidden):
        state = "served" if served.is_served else "installed"
        yield Happened(What.CERTIFICATE_DELIVERED, run.lineage.name, details | {"state": state})


def _version(run: CertificateRun) -> str:
    if run.flip is not None:
        return run.flip.after
    return run.installed.version if run.installed else ""
