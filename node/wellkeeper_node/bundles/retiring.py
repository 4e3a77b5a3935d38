"""Delete the certificates that the manifest retires or disowns, once nothing uses them."""

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from wellkeeper_node.bundles.manifest import Manifest
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.removal import read_versions
from wellkeeper_node.model import Old

FindUnused = Callable[[Collection[Old]], Awaitable[Collection[Old]]]


async def retire(
    lineage: str, manifest: Manifest, certificates_dir: Path, folders: CertificateFolders, find_unused: FindUnused
) -> None:
    """Delete the lineage's retired and disowned versions that `find_unused` returns; never the live one.

    First it marks disowned ones, so that `folders.restore` never goes back to one that is still in use. Idempotent:
    what is in use goes at a later call. Raises InstallError, and the errors of `find_unused`.
    """
    disowned = manifest.disown.get(lineage, frozenset())
    every = await read_versions(certificates_dir, lineage)
    unwanted = disowned | manifest.retire.get(lineage, frozenset())
    versions = [(one, one.certificate.fingerprint_sha256) for one in every if one.certificate is not None]
    for leaf in sorted({leaf for _, leaf in versions} & disowned):
        await folders.never_restore(lineage, leaf)
    old = [one for one, leaf in versions if leaf in unwanted]
    if old:
        await folders.remove_versions(lineage, [one.version for one in await find_unused(old)])
