"""Places that take no output: a full disk, a reader that left, a journal that stopped, a pipe that is never read."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Sink = Literal["full", "closed pipe", "closed socket", "stuck pipe"]


@contextmanager
def sink(kind: Sink) -> Iterator[int]:
    """Yield a descriptor that takes no output."""
    if kind == "closed socket":
        ours, theirs = socket.socketpair()  # as the journal has it
        with ours:
            theirs.close()
            yield ours.fileno()
        return
    if kind == "full":
        descriptor, spare = os.open("/dev/full", os.O_WRONLY), None
    else:
        spare, descriptor = os.pipe()
    if kind == "closed pipe" and spare is not None:
        os.close(spare)
        spare = None
    if kind == "stuck pipe":
        fill(descriptor)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        if spare is not None:
            os.close(spare)


def fill(pipe: int) -> None:
    """Write until there is no room for a line."""
    os.set_blocking(pipe, False)
    while _is_writable(pipe):
        pass
    os.set_blocking(pipe, True)


def _is_writable(descriptor: int) -> bool:
    try:
        return os.write(descriptor, b"x" * 4096) > 0
    except BlockingIOError:
        return False
