"""The access to a version: owner, group and modes, which a new version takes over from the previous one."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_node import rights
from wellkeeper_node.certificates.layout import KEY_FILE
from wellkeeper_node.durable import Owner

_WIDEST_KEY: Final = 0o640
_WIDEST_FOLDER: Final = 0o750


@dataclass(frozen=True, slots=True)
class Access:
    """The owner of the files of a version, and the modes of its key and of its directory."""

    owner: Owner
    key_mode: int
    folder_mode: int


def kept_access(previous: Path, usual: Access) -> Access:
    """Return the access of the previous version, never wider than 0640; `usual` without one that can be kept.

    What the settings give in `usual` stays. An owner or group that this process may not give to files is not kept.
    """
    try:
        key, folder = os.lstat(previous / KEY_FILE), os.lstat(previous)
    except FileNotFoundError:
        return usual
    if not (stat.S_ISREG(key.st_mode) and stat.S_ISDIR(folder.st_mode)):
        return usual
    user = key.st_uid if usual.owner.user == -1 else usual.owner.user
    group = key.st_gid if usual.owner.group == -1 else usual.owner.group
    if not rights.may_give(user, group):
        return usual
    is_for_a_group = usual.owner.group != -1
    return Access(
        Owner(user, group),
        usual.key_mode if is_for_a_group else 0o400 | key.st_mode & _WIDEST_KEY,
        usual.folder_mode if is_for_a_group else 0o700 | folder.st_mode & _WIDEST_FOLDER,
    )
