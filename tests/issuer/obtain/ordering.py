"""Ordering as a pass does: with the recorded attempt."""

from wellkeeper_issuer.model import Attempt, Lineage, Ordered
from wellkeeper_issuer.obtain import order as stage
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.ports.state import Attempts


async def order(
    lineage: Lineage, ca: CertificateAuthority, attempts: Attempts, terms: stage.Terms | None = None
) -> tuple[Attempt, Ordered]:
    """Order with the recorded attempt as the earlier one."""
    return await stage.order(lineage, ca, attempts, await attempts.read_attempt(lineage.name), terms)
