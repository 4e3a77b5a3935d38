"""Look at names through nginx now, for `setup`, which waits until the user has changed its configuration."""

from collections.abc import Mapping

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.local_probes import local_probes
from wellkeeper_issuer.obtain.reach import missing_locations
from wellkeeper_issuer.settings import Settings


async def look_at_locations(settings: Settings) -> Mapping[str, str]:
    """Return for each certificate why its challenges would not be answered, "" if nothing is wrong."""
    probes, nodes = local_probes(settings), build.nodes(settings)
    found = {}
    for lineage in settings.lineages():
        missing = await missing_locations(lineage, nodes, probes)
        found[lineage.name] = f"{missing[0].url.split('/')[2]}: {missing[0].cause}" if missing else ""
    return found
