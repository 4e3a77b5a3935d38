"""What is live, of all lineages at once: links alone, for those who are in a hurry.

Reads only, and makes nothing. Loads nothing that reads certificates: `issuer.outside.leaves` does that.
"""

import os
from pathlib import Path

from issuer.outside import durable
from issuer.outside.layout import CHAIN_FILE, linked_version


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


def _is_there(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
