"""The settings that decide how nginx is found, tested and reloaded (docs/reaching-nginx.md)."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

# What `pid_file` is in settings where Wellkeeper finds the master itself.
AUTO: Final = "auto"
Test = Literal["command", "reload"]
Way = Literal["local", "shared", "agent"]
_OF_TEST: Final = ("reload_command", "test", "error_log")


@dataclass(frozen=True, slots=True)
class Control:
    """The settings for testing and reloading nginx.

    `command` must have the arguments of the running master (`-p`, `-c`, `-g`), or `-t` tests something else. Without
    `pid_file`, it is the one master in this PID namespace. Without `reload_command` the master gets SIGHUP. Without
    `error_log`, the file that the master writes to is read. With `test` "reload" there is no nginx to run here. With
    `agent`, a directory, a program beside nginx tests and reloads it, and no other setting counts.
    """

    command: tuple[str, ...] = ("nginx",)
    pid_file: Path | None = Path("/run/nginx.pid")
    reload_command: tuple[str, ...] | None = None
    error_log: Path | None = None
    test: Test = "command"
    agent: Path | None = None

    @property
    def way(self) -> Way:
        """Return how nginx is reached: by its binary here, through its processes alone, or by an agent."""
        if self.agent is not None:
            return "agent"
        return "shared" if self.test == "reload" else "local"


def find_conflict(given: Collection[str], test: Test) -> str:
    """Return why these keys of `[nginx]` exclude each other; "" if they do not."""
    without_agent = [key for key in ("command", "pid_file", "reload", *_OF_TEST) if key in given]
    if "agent" in given and without_agent:
        return f"{without_agent[0]} and agent cannot be combined: the agent runs beside nginx and finds it there"
    running = [key for key in ("command", "reload") if key in given]
    if test == "reload" and running:
        return f'{running[0]} and test = "reload" cannot be combined: without nginx here, there is nothing to run'
    return ""
