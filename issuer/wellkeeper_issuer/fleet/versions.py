"""Number the certificates of a lineage, so that nodes can name the newer of two."""

from wellkeeper_node.bundles.manifest import Manifest
from wellkeeper_node.bundles.model import Version


def version_of(lineage: str, archive_name: str, archived: Version | None, manifest: Manifest | None) -> Version:
    """Return the version of the live certificate: the highest number in archive and manifest, plus one.

    `archived` is the newest version on record in the archive. The certificate that already has the highest number keeps
    it. An older one that is live again, after the newer one was disowned, gets a new number: numbers never fall.
    """
    listed = manifest.lineages.get(lineage) if manifest is not None else None
    known = {version for version in (archived, listed.version if listed else None) if version is not None}
    highest = max((version.number for version in known), default=0)
    is_numbered = {version.archive_name for version in known if version.number == highest} == {archive_name}
    return Version(highest if is_numbered else highest + 1, archive_name)
