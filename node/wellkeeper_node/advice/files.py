"""What to do about a file that cannot be read or written, by what the system says."""

import errno
from typing import Final

_FREE: Final = "free some space there, then run renew again: nothing was changed and nothing is lost"
_READING: Final = {
    errno.EACCES: "run as a user who may",
    errno.EPERM: "run as a user who may",
    errno.ENOENT: "correct the path, or put the file there",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "a part of the path is no folder: correct the path",
    errno.ELOOP: "its links lead in a circle: put the file there, or a link to it",
    errno.ENAMETOOLONG: "correct the path",
}
_STORING: Final = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "raise the quota, or free some space there",
    errno.EFBIG: "raise the limit on file sizes of the issuer's process (ulimit -f, LimitFSIZE)",
    errno.EROFS: "mount it read-write",
    errno.EACCES: "give it to the issuer's user, or run the issuer as its owner",
    errno.EPERM: "give it to the issuer's user, or run the issuer as its owner",
}
_WRITING: Final = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EFBIG: "raise the limit on file sizes of the issuer's process (ulimit -f, LimitFSIZE)",
    errno.EROFS: "mount it read-write, or set certificates_dir to another place",
    errno.EACCES: "give the issuer's user access to it, or run the issuer as its owner",
    errno.EPERM: "only root may give files away: run as root, or set a group that the issuer's user is a member of",
    errno.ENOTDIR: "something that is no folder stands in the way; move it",
    errno.EEXIST: "something that is no folder stands in the way; move it",
    errno.EISDIR: "a folder stands where the link belongs; move it",
}


def of_reading(error: OSError) -> str:
    """For a file that a person named."""
    return _READING.get(error.errno or 0, "look at the file system there")


def of_writing(error: OSError) -> str:
    """For what the issuer keeps in `certificates_dir`."""
    return _WRITING.get(error.errno or 0, "look at the file system there, then run renew again")


def of_storing(error: OSError) -> str:
    """For a folder that must keep what is written to it."""
    return _STORING.get(error.errno or 0, "look at the kernel's messages about this disk")
