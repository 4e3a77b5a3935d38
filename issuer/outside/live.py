"""What is live, of all lineages at once: links for those who are in a hurry, certificates for those who want to see.

Reads only, and makes nothing; `issuer.outside.disk` says what lies where.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from issuer import pki
from issuer.model import Certificate
from issuer.outside import durable
from issuer.outside.disk import CHAIN_FILE, linked_version

_log = logging.getLogger(__name__)


class LiveFolder:
    """`live/` of a `certificates_dir`, which need not be there."""

    def __init__(self, certificates_dir: Path) -> None:
        self._root = certificates_dir

    async def versions(self) -> dict[str, str]:
        """By lineage: one look at one folder, no certificate is read. Raises InstallError when it may not be read.

        What is no link of ours, or leads to no chain, is left out; `CertificateFolders.installed` says what is wrong.
        """
        with durable.translated(self._root):
            return await durable.to_its_end(self._versions)

    async def leaves(self, versions: Mapping[str, str]) -> dict[str, Certificate]:
        """The certificates of these versions by lineage, without those that cannot be read; keys are not looked at."""
        return await durable.to_its_end(lambda: dict(self._leaves(versions)))

    def _versions(self) -> dict[str, str]:
        found = {}
        try:
            with os.scandir(self._root / "live") as entries:
                links = [entry for entry in entries if entry.is_symlink()]
        except FileNotFoundError:
            return {}
        for link in links:
            # Strings, for ten thousand paths take their time.
            version = linked_version(link.name, os.readlink(link.path))  # noqa: PTH115
            if version is not None and _is_there(f"{link.path}/{CHAIN_FILE}"):
                found[link.name] = version
        return found

    def _leaves(self, versions: Mapping[str, str]) -> Iterator[tuple[str, Certificate]]:
        for lineage, version in versions.items():
            path = self._root / "archive" / lineage / version / CHAIN_FILE
            try:
                yield lineage, pki.read_certificate(path.read_bytes())
            except (OSError, ValueError) as error:
                _log.warning("%s is no certificate that can be read: %s", path, error)


def _is_there(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
