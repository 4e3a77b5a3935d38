"""Write one version of a certificate into `archive/<lineage>/`; blocks. The caller holds the lineage's lock."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from wellkeeper_node import durable, presence, rights
from wellkeeper_node.certificates import links, reading
from wellkeeper_node.certificates.access import Access
from wellkeeper_node.certificates.layout import CHAIN_FILE, KEY_FILE


def version_of(archive: Path, files: Mapping[str, bytes]) -> str:
    """Return the name of the directory that holds these files, or of a new one for them.

    It starts with the certificate's not-before time, so that names sort by age and are the same for the same files.
    """
    certificate = reading.read_certificate(files[CHAIN_FILE])
    first = f"{certificate.not_before:%Y%m%dT%H%M%SZ}-{certificate.fingerprint_sha256[:8]}"
    version, number = first, 1
    while presence.exists(archive / version) and not _holds(archive / version, files):
        version, number = f"{first}-{number}", number + 1
    return version


def write_version(archive: Path, version: str, files: Mapping[str, bytes], access: Access) -> None:
    """Write these files as a version, whole or not at all. Raises OSError."""
    unfinished = links.unfinished_path(archive / version)
    try:
        durable.make_folder(unfinished, access.folder_mode, access.owner, access.folder_acl)
        for name, content in files.items():
            mode, acl = (access.key_mode, access.key_acl) if name == KEY_FILE else (0o644, None)
            durable.write_file(unfinished / name, content, mode, access.owner, acl)
        durable.sync(unfinished)
        unfinished.rename(archive / version)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return all(rights.read_file(folder / name) == content for name, content in files.items())
    except (FileNotFoundError, ValueError):
        return False
