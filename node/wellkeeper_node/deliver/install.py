"""Install a pair: write it beside the old one, record it, then switch to it by one rename."""

from collections.abc import Awaitable, Callable

from wellkeeper_node import public_keys
from wellkeeper_node.model import Flip, Pair
from wellkeeper_node.ports import Certificates

Record = Callable[[Flip], Awaitable[None]]


async def install(lineage_name: str, pair: Pair, certificates: Certificates, record: Record | None = None) -> Flip:
    """Install the pair and return the flip; for the live pair, from its version to itself. Raises InstallError.

    Idempotent. `record` is awaited before the switch: after a crash, the record says which version to roll back to. It
    is none if others may have the key of the live one.
    """
    version = await certificates.write(lineage_name, pair)
    installed = await certificates.installed(lineage_name)
    before = installed.version if installed else None
    if before != version and await _is_disowned(lineage_name, certificates):
        before = None
    flip = Flip(lineage_name, before, version)
    if record is not None:
        await record(flip)
    await certificates.switch(lineage_name, version)
    return flip


async def _is_disowned(lineage_name: str, certificates: Certificates) -> bool:
    """Return whether the key of the live version was disowned."""
    disowned = await certificates.disowned_keys(lineage_name)
    live = await certificates.read_pair(lineage_name) if disowned else None
    return live is not None and public_keys.leaf_key_fingerprint(live.chain_pem) in disowned
