"""Private networks and mounts for this thread and the processes that it starts."""

import ctypes
import os
import subprocess
from functools import cache
from typing import Final

from stand.processes import StandError, find_program

# sched.h; os.unshare and os.setns came with Python 3.12.
_NEW_MOUNTS: Final = 0x0002_0000
_NEW_NETWORK: Final = 0x4000_0000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def enter_namespaces() -> None:
    """Give this thread an empty network with only a loopback, and mounts that end with the process. Needs root."""
    _check(_LIBC.unshare(_NEW_MOUNTS | _NEW_NETWORK))
    for command in (("mount", "--make-rprivate", "/"), ("ip", "link", "set", "lo", "up")):
        subprocess.run(command, check=True)


def make_network() -> None:
    """Give this thread an empty network. Needs root."""
    _check(_LIBC.unshare(_NEW_NETWORK))


@cache
def can_make_networks() -> bool:
    """Return true for root, unless it is in a container without the right to."""
    command = (find_program("unshare"), "--net", "true")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def enter_network(network: int) -> None:
    """Move this thread to the network with this descriptor. Needs root."""
    _check(_LIBC.setns(network, _NEW_NETWORK))


def _check(result: int) -> None:
    if result != 0:
        reason = os.strerror(ctypes.get_errno())
        raise StandError(f"cannot create namespaces ({reason}); run as root, in a container with --privileged")
