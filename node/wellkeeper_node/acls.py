"""Read POSIX access control lists, and narrow them: acl(5), in the kernel's format (linux/posix_acl_xattr.h).

With such a list, the group bits of a file's mode are the list's mask, not the rights of its group.
"""

import errno
import os
import struct
from pathlib import Path
from typing import Final

ATTRIBUTE: Final = "system.posix_acl_access"
_HEADER_SIZE: Final = 4
_ENTRY: Final = struct.Struct("<HHI")
_OWNER, _OTHERS = 0x01, 0x20
_NONE: Final = frozenset({errno.ENODATA, errno.ENOTSUP})


def read(path: Path) -> bytes | None:
    """Return the list of a file or directory; None when it has only a mode. Raises OSError."""
    try:
        return os.getxattr(path, ATTRIBUTE, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise


def narrowed(acl: bytes, owner: int, others: int) -> bytes:
    """Return the list with these permissions of the owner, and at most `others` for each other entry.

    Those whom no entry names get nothing.
    """
    header, entries = acl[:_HEADER_SIZE], _ENTRY.iter_unpack(acl[_HEADER_SIZE:])
    kept = {_OWNER: owner, _OTHERS: 0}
    return header + b"".join(_ENTRY.pack(tag, kept.get(tag, may & others), number) for tag, may, number in entries)
