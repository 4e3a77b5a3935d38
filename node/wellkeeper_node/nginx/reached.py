"""Find out how nginx is reached, and whether it is now: what `status` shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.agent import AgentNginx
from wellkeeper_node.nginx.control import Control, Way
from wellkeeper_node.nginx.masters import find_master
from wellkeeper_node.ports import Clock

_BY: Final[Mapping[Way, str]] = {
    "local": "on this host",
    "shared": "through its processes alone",
    "agent": "through the agent beside it",
}
# What cannot be checked that way.
_LIMITS: Final[Mapping[Way, str]] = {
    "local": "",
    "shared": "; only a reload tests its configuration",
    "agent": "; what its workers may read is not checked",
}


@dataclass(frozen=True, slots=True)
class Reached:
    """The master is a process id, in its own container for an agent; the heartbeat is the agent's.

    `problem` says why nginx is not reached; "" if it is.
    """

    way: Way
    master: int | None = None
    heartbeat_age_seconds: float | None = None
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"nginx: not reached {_BY[self.way]}: {self.problem}"
        age = self.heartbeat_age_seconds
        heartbeat = "" if age is None else f", heartbeat {age:.1f} s ago"
        return f"nginx: reached {_BY[self.way]} (process {self.master}{heartbeat}){_LIMITS[self.way]}"

    def to_json(self) -> dict[str, object]:
        return {
            "way": self.way,
            "master": self.master,
            "heartbeat_age_seconds": self.heartbeat_age_seconds,
            "problem": self.problem or None,
        }


async def reach(control: Control, clock: Clock) -> Reached:
    """Look for the master, or for a heartbeat of the agent that sees it, which takes up to 5 s if it looks old."""
    try:
        if control.agent is None:
            return Reached(control.way, find_master(control.pid_file, control.command).pid)
        found = await AgentNginx(control.agent, clock).running()
        return Reached(control.way, found.master, round(found.age_seconds, 1))
    except ReloadError as error:
        return Reached(control.way, problem=str(error))
