"""Puts a pair in place: written beside the old one, then switched to by one rename."""

from issuer.model import Flip, Pair
from issuer.ports import Certificates


async def install(lineage_name: str, pair: Pair, certificates: Certificates) -> Flip:
    """Idempotent: the pair that is live already gives a flip from its version to itself. Raises InstallError."""
    version = await certificates.write(lineage_name, pair)
    before = await certificates.switch(lineage_name, version)
    return Flip(lineage=lineage_name, before=before, after=version)
