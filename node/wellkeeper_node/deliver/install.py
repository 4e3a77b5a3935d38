"""Puts a pair in place: written beside the old one, recorded, then switched to by one rename."""

from collections.abc import Awaitable, Callable

from wellkeeper_node.model import Flip, Pair
from wellkeeper_node.ports import Certificates

Record = Callable[[Flip], Awaitable[None]]


async def install(lineage_name: str, pair: Pair, certificates: Certificates, record: Record | None = None) -> Flip:
    """Idempotent: the pair that is live already gives a flip from its version to itself. Raises InstallError.

    `record` is awaited before the switch: whoever goes on after a crash must know what to go back to.
    """
    version = await certificates.write(lineage_name, pair)
    installed = await certificates.installed(lineage_name)
    flip = Flip(lineage_name, before=installed.version if installed else None, after=version)
    if record is not None:
        await record(flip)
    await certificates.switch(lineage_name, version)
    return flip
