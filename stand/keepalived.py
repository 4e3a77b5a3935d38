"""A real keepalived on a host of a private network, with the configuration of a user."""

from pathlib import Path
from typing import Final

from stand.lan import LanHost
from stand.processes import PROJECT, Process, Running, find_program

_UNPACKED: Final = PROJECT / ".cache/keepalived/usr/sbin"


class Keepalived(Running):
    """`async with Keepalived(folder, configuration, on)`: it is ready as soon as it runs, without any address yet."""

    def __init__(self, folder: Path, configuration: str, on: LanHost) -> None:
        path = folder / "keepalived.conf"
        path.write_text(configuration)
        files = [f"--{name}={folder}/{name}" for name in ("pid", "vrrp_pid", "checkers_pid", "bfd_pid")]
        options = ("--dont-fork", "--log-console", "--no-syslog", "--vrrp", f"--use-file={path}", *files)
        argv = [*on.entering, find_program("keepalived", _UNPACKED), *options]
        self._pid_file = folder / "vrrp_pid"
        self.process = Process("keepalived", argv, folder / "keepalived.log")

    async def is_ready(self) -> bool:
        return self._pid_file.exists()
