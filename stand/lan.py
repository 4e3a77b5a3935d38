"""A private network with a bridge, and hosts on it that have their own addresses and ports. Needs root.

    this thread ── lan (10.77.0.1) ── web2 (10.77.0.2), web3 (10.77.0.3), …

A network lives as long as its descriptor is open and processes run in it: nothing of it outlives this process.
"""

import os
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from stand.namespaces import enter_network, make_network
from stand.processes import StandError, search_path

_OWN: Final = Path("/proc/thread-self/ns/net")


class LanHost:
    """A host with the interface `eth0`. While it is unplugged, everything from and to it is lost without a sign."""

    def __init__(self, name: str, address: str, network: int) -> None:
        self.address = address
        self._cable = f"to-{name}"
        self._path = f"/proc/{os.getpid()}/fd/{network}"
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._path)
        self.plug_in()
        _ip("link", "set", self._cable, "up")
        for command in (("addr", "add", f"{address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            _run(*self.entering, "ip", *command)

    @property
    def entering(self) -> tuple[str, ...]:
        """Return what runs a command on this host, before the command."""
        return ("nsenter", f"--net={self._path}", "--")

    def has(self, address: str) -> bool:
        """Return whether this is one of the host's addresses now."""
        return f" {address}/" in _run(*self.entering, "ip", "-4", "address", "show", "dev", "eth0")

    def unplug(self) -> None:
        _ip("link", "set", self._cable, "nomaster")

    def plug_in(self) -> None:
        _ip("link", "set", self._cable, "master", "lan")


class Lan:
    """`with Lan() as lan`: this thread, and what it starts, are the first host of a network without any other.

    `prefix` are the first three numbers of all addresses.
    """

    def __init__(self, prefix: str = "10.77.0") -> None:
        self._prefix = prefix
        self.address = f"{prefix}.1"
        self._stack = ExitStack()
        self._count = 1

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            before = os.open(_OWN, os.O_RDONLY)
            stack.callback(os.close, before)
            make_network()
            stack.callback(enter_network, before)
            # Without a delay, a port of the bridge works as soon as it is plugged in.
            _ip("link", "add", "lan", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
            _ip("addr", "add", f"{self.address}/24", "dev", "lan")
            for name in ("lo", "lan"):
                _ip("link", "set", name, "up")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def host(self, name: str) -> LanHost:
        """Add a host; the name has at most twelve characters."""
        self._count += 1
        return LanHost(name, f"{self._prefix}.{self._count}", self._network())

    def _network(self) -> int:
        """Return the descriptor of a new network, whose loopback is up. A thread that entered it cannot be reused."""
        found: list[int] = []

        def make() -> None:
            make_network()
            _ip("link", "set", "lo", "up")
            found.append(os.open(_OWN, os.O_RDONLY))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not found:
            raise StandError("cannot make a network")
        self._stack.callback(os.close, found[0])
        return found[0]


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": search_path()}, check=False)
    if done.returncode != 0:
        raise StandError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
