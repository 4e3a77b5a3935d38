"""Find out which directories a configuration names, by whatever path: links, mounts and variables included.

Files are compared by device and inode, so that it does not matter how a path is written. All of it blocks.
"""

import glob
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from wellkeeper_node.nginx.configuration import HERE, Configuration
from wellkeeper_node.nginx.disk import Disk

_OF_CERTIFICATES: Final = ("ssl_certificate", "ssl_certificate_key", "ssl_trusted_certificate")
_NOT_FILES: Final = ("data:", "engine:", "store:")
_VARIABLE: Final = re.compile(r"\$(\{\w+\}|\w+)")

_FileId = tuple[int, int]


def named_folders(configuration: Configuration, folders: Collection[str]) -> dict[str, str]:
    """Return the directories that the configuration names, or of which it names a file, with file and line.

    Raises ValueError when a part of the configuration was not parsed.
    """
    if configuration.errors:
        raise ValueError(configuration.errors[0])
    named = dict[_FileId, str]()
    for path, where in _paths(configuration):
        if (found := _file_id(path, configuration.disk)) is not None:
            named.setdefault(found, where)
    uses = {one: next((named[found] for found in _ids(one) if found in named), None) for one in folders}
    return {folder: where for folder, where in uses.items() if where is not None}


def unseen_certificate(configuration: Configuration) -> str:
    """Return the first file of a certificate or key that nothing here can find, with its place; "" without one."""
    for one in configuration.walk():
        path = one.arguments[0] if one.name.endswith(_OF_CERTIFICATES) and one.arguments else "$"
        is_file = "$" not in path and not path.startswith(_NOT_FILES)
        if is_file and _file_id(str(configuration.path(path)), configuration.disk) is None:
            return f"{path} ({one.file}:{one.line})"
    return ""


def _paths(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield every word that may be a path, with file and line.

    A variable stands for any name; a path that begins with one is left out.
    """
    words = dict[str, str]()
    for one in configuration.walk():
        for word in (one.name, *one.arguments):
            words.setdefault(word, f"{one.file}:{one.line}")
    for word, where in words.items():
        path = os.path.join(configuration.folder, word)  # noqa: PTH118 - as nginx does; Path would normalise it
        if "$" not in word:
            yield path, where
        elif not word.startswith("$") and "/" in word:
            for found in configuration.disk.glob(_pattern(path)):
                yield found, where


def _pattern(path: str) -> str:
    """Return the pattern of glob(3) for a path with variables."""
    literals = _VARIABLE.split(path)[::2]
    return "*".join(map(glob.escape, literals))


def _ids(folder: str) -> Iterator[_FileId]:
    """Yield the directory and all that is in it."""
    for path in (Path(folder), *Path(folder).rglob("*")):
        if (found := _file_id(str(path), HERE)) is not None:
            yield found


def _file_id(path: str, disk: Disk) -> _FileId | None:
    try:
        status = disk.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
