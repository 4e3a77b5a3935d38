"""Find the live versions of all lineages quickly, by their links alone.

Changes nothing on disk. Imports nothing that reads certificates: `wellkeeper_node.certificates.leaves` does that.
"""

import errno
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from wellkeeper_node import durable
from wellkeeper_node.certificates.layout import CHAIN_FILE, KEY_FILE, KEYLESS_FILE, linked_version

# What readlink(2) reports where there is no link; everything else is a failure.
NO_LINK: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EINVAL})
_MISSING: Final = -1


class LiveFolder:
    """The `live/` of a `certificates_dir`, which need not exist."""

    def __init__(self, certificates_dir: Path) -> None:
        self._root = certificates_dir

    async def versions(self, among: Collection[str] | None = None) -> dict[str, str]:
        """Return the versions by lineage (all, or these) from their links. Raises InstallError when unreadable.

        A link of another kind, or whose chain or key is missing or empty, is left out; `CertificateFolders.installed`
        reports what is wrong.
        """
        with durable.translated(self._root):
            return await durable.to_its_end(lambda: self._versions(among))

    def _versions(self, among: Collection[str] | None) -> dict[str, str]:
        found = {}
        for name in self._names() if among is None else among:
            # Strings: ten thousand Path objects are slow.
            link = f"{self._root}/live/{name}"
            try:
                version = linked_version(name, os.readlink(link))  # noqa: PTH115
            except OSError as error:
                if error.errno in NO_LINK:
                    continue
                raise
            if version is not None and _has_pair(link):
                found[name] = version
        return found

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._root / "live")  # noqa: PTH208
        except FileNotFoundError:
            return []


def _has_pair(link: str) -> bool:
    """Return True when chain and key have content, or the key stays elsewhere; nothing is read."""
    return _size(f"{link}/{CHAIN_FILE}") > 0 and (
        _size(f"{link}/{KEY_FILE}") > 0 or _size(f"{link}/{KEYLESS_FILE}") != _MISSING
    )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return _MISSING
