"""The access to a version: owner, group, modes and access control lists, which a new version takes over."""

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wellkeeper_node import acls, rights
from wellkeeper_node.certificates.layout import KEY_FILE
from wellkeeper_node.durable import Owner

# For a group of the settings; what is kept of a previous version is never wider.
GROUP_KEY_MODE: Final = 0o640
GROUP_FOLDER_MODE: Final = 0o750


@dataclass(frozen=True, slots=True)
class Access:
    """The owner of the files of a version, and the modes and access control lists of its key and of its directory."""

    owner: Owner
    key_mode: int
    folder_mode: int
    key_acl: bytes | None = None
    folder_acl: bytes | None = None


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
    if usual.owner.group != -1:
        return replace(usual, owner=Owner(user, group))
    key_mode, key_acl = _kept(previous / KEY_FILE, 0o400 | key.st_mode & GROUP_KEY_MODE)
    folder_mode, folder_acl = _kept(previous, 0o700 | folder.st_mode & GROUP_FOLDER_MODE)
    return Access(Owner(user, group), key_mode, folder_mode, key_acl, folder_acl)


def _kept(previous: Path, mode: int) -> tuple[int, bytes | None]:
    """Return the mode and the list, in which no one gets more than the mode lets its group do."""
    acl = acls.read(previous)
    if acl is None:
        return mode, None
    return mode & 0o700, acls.narrowed(acl, mode >> 6, mode >> 3 & 0o7)
