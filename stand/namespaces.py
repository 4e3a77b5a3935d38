"""A private network and private mounts for this thread and the processes that it starts."""

import ctypes
import os
import subprocess
from typing import Final

from stand.processes import StandError

# sched.h; os.unshare came with Python 3.12.
_NEW_MOUNTS: Final = 0x0002_0000
_NEW_NETWORK: Final = 0x4000_0000


def enter_namespaces() -> None:
    """Give this thread an empty network with only a loopback, and mounts that end with the process. Needs root."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS | _NEW_NETWORK) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise StandError(f"cannot create namespaces ({reason}); run as root, in a container with --privileged")
    for command in (("mount", "--make-rprivate", "/"), ("ip", "link", "set", "lo", "up")):
        subprocess.run(command, check=True)
