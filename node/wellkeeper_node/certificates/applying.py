"""Give what is installed to the owner and group of the settings, as new versions are written.

The first version may be older than the setting. Every version gets it, because nginx may be switched back to one; but
not a version whose key another group may read, or users of an access control list: nginx's workers may depend on it.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wellkeeper_node import acls, durable, presence, rights
from wellkeeper_node.certificates.access import GROUP_FOLDER_MODE, GROUP_KEY_MODE
from wellkeeper_node.certificates.layout import KEY_FILE, VERSION, linked_version
from wellkeeper_node.certificates.live import NO_LINK
from wellkeeper_node.durable import Owner
from wellkeeper_node.errors import InstallError

_SHARED: Final = 0o022


async def apply_access(certificates_dir: Path, owner: Owner) -> list[str]:
    """Give all to the user, if any, and all versions to the group, if any; return the lineages that it changed.

    Idempotent. Only the live version is looked at to find out that nothing is to do. Raises InstallError: also where
    something belongs to a third user, because giving it away would be that user's decision.
    """
    with durable.translated(certificates_dir):
        return await durable.to_its_end(lambda: _apply(certificates_dir, owner))


def _apply(root: Path, owner: Owner) -> list[str]:
    if not presence.is_dir(root):
        return []
    if owner.user != -1 and rights.is_of_root(root):
        _give(None, str(root), owner.user)
    if owner.group == -1:
        return []
    found = _without_group(root, owner.group)
    for lineage in found:
        _apply_group(root, lineage, owner.group)
    return found


def _without_group(root: Path, group: int) -> list[str]:
    """Return the lineages whose live version does not have the group."""
    with rights.of_owner(root, group):
        if not presence.is_dir(root / "archive"):
            return []
        names = sorted(os.listdir(root / "archive"))  # noqa: PTH208 - faster, for many certificates
        return [name for name in names if not _has_group(root / "archive" / name, root / "live" / name, group)]


def _apply_group(root: Path, lineage: str, group: int) -> None:
    archive = root / "archive" / lineage
    with rights.of_owner(root, group, lineage), durable.locked(root / ".lock", lineage):
        for path in archive.iterdir():
            if VERSION.fullmatch(path.name) and not presence.is_symlink(path) and not _is_granted(path, group):
                _set_version(path, group)
        _set(archive, group, GROUP_FOLDER_MODE)  # last: what a crash interrupts is done again


def _has_group(archive: Path, link: Path, group: int) -> bool:
    """Return whether the live version has the group and its modes; True without one, or if it must stay as it is."""
    try:
        version = linked_version(archive.name, os.readlink(link))  # noqa: PTH115 - faster, for many certificates
    except OSError as error:
        if error.errno in NO_LINK:
            return True
        raise
    if version is None:
        return True
    if _is_granted(archive / version, group):
        return True
    wanted = {
        archive: GROUP_FOLDER_MODE,
        archive / version: GROUP_FOLDER_MODE,
        archive / version / KEY_FILE: GROUP_KEY_MODE,
    }
    return all(_is_so(path, group, mode) for path, mode in wanted.items())


def _is_granted(version: Path, group: int) -> bool:
    """Return whether others than the owner and this group may read the key."""
    key = version / KEY_FILE
    with contextlib.suppress(FileNotFoundError):  # its key stays elsewhere
        status = os.lstat(key)
        is_of_other = bool(status.st_mode & stat.S_IRGRP) and status.st_gid != group
        return is_of_other or acls.read(key) is not None
    return False


def _is_so(path: Path, group: int, mode: int) -> bool:
    with contextlib.suppress(FileNotFoundError):  # its key stays elsewhere
        status = os.lstat(path)
        return status.st_gid == group and stat.S_IMODE(status.st_mode) == mode
    return True


def _set_version(version: Path, group: int) -> None:
    with rights.of_path(version, group):  # a previous owner may have been kept, for this version alone
        for path in version.iterdir():
            if not presence.is_symlink(path) and presence.is_file(path):
                _set(path, group, GROUP_KEY_MODE if path.name == KEY_FILE else 0o644)
        _set(version, group, GROUP_FOLDER_MODE)


def _set(path: Path, group: int, mode: int) -> None:
    """Set the group, then the mode, so that no other group can read it; never through a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _give(folder: int | None, name: str, user: int) -> None:
    """Give what belongs to root to the user, a directory after its content.

    Until it is given, only root can change a directory, so that no link can lead elsewhere. What the user has already
    is left alone, and all below it.
    """
    status = os.stat(name, dir_fd=folder, follow_symlinks=folder is None)
    if status.st_uid == user:
        return
    is_folder = stat.S_ISDIR(status.st_mode)
    if status.st_uid != 0 or (is_folder and status.st_mode & _SHARED):
        raise InstallError(
            f"cannot give {name!r} to certificates_owner",
            "another user may change it",
            "Check what it is, then run 'chown -R' on certificates_dir.",
        )
    if not is_folder:
        os.chown(name, user, -1, dir_fd=folder, follow_symlinks=False)
        return
    with _opened(name, folder) as descriptor:
        for inner in os.listdir(descriptor):  # noqa: PTH208 - a descriptor
            _give(descriptor, inner, user)
        os.fchown(descriptor, user, -1)


@contextlib.contextmanager
def _opened(name: str, folder: int | None) -> Iterator[int]:
    no_link = 0 if folder is None else os.O_NOFOLLOW
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | no_link, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
