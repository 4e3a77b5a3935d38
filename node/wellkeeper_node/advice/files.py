"""Remedies for a file that cannot be read or written, chosen by the system's error number."""

import errno
from typing import Final

from wellkeeper_node.wording import with_reload

_FREE: Final = "Free some space there, then run 'wellkeeper renew' again: nothing was changed."
_RAISE_LIMIT: Final = "Raise the file size limit of the issuer's process (ulimit -f, LimitFSIZE)."
_READING: Final = {
    errno.EACCES: "Run the command with sudo, or as a user who may read it.",
    errno.EPERM: "Run the command with sudo, or as a user who may read it.",
    errno.ENOENT: "Correct the path, or create the file.",
    errno.EISDIR: "Name a file, not a directory.",
    errno.ENOTDIR: "Correct the path: a part of it is not a directory.",
    errno.ELOOP: "Correct the symbolic links there: they form a loop.",
    errno.ENAMETOOLONG: "Correct the path.",
}
_STORING: Final = {
    errno.ENOSPC: "Free some space there.",
    errno.EDQUOT: "Raise the quota, or free some space there.",
    errno.EFBIG: _RAISE_LIMIT,
    errno.EROFS: "Mount the file system read-write.",
    errno.EACCES: "Give it to the issuer's user, or run the issuer as its owner.",
    errno.EPERM: "Give it to the issuer's user, or run the issuer as its owner.",
}
_WRITING: Final = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EFBIG: _RAISE_LIMIT,
    errno.EROFS: with_reload("Mount the file system read-write, or set certificates_dir to another directory."),
    errno.EACCES: "Give the issuer's user access to it, or run the command with sudo.",
    errno.EPERM: "Run the issuer as root: only root may give files away. If it is root, check 'lsattr -d' there.",
    errno.ENOTDIR: "Move it away: it is not a directory.",
    errno.EEXIST: "Move it away: it is not a directory.",
    errno.EISDIR: "Move the directory away: a symbolic link belongs there.",
}


def of_reading(error: OSError) -> str:
    """Return the remedy for a file that the administrator named."""
    return _READING.get(error.errno or 0, "Check the file system there.")


def of_writing(error: OSError) -> str:
    """Return the remedy for a file in `certificates_dir`."""
    return _WRITING.get(error.errno or 0, "Check the file system there, then run 'wellkeeper renew' again.")


def of_storing(error: OSError) -> str:
    """Return the remedy for a directory that must keep what is written to it."""
    return _STORING.get(error.errno or 0, "Check the kernel's log for errors of this disk.")
