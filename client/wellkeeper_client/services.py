"""Word what a user must do to a program of Wellkeeper or to nginx, as this host runs them.

Where systemd manages the host, that is a command. In a container, and on a host with another service manager, it names
the program whose container or service needs it.
"""

from pathlib import Path
from typing import Final, Literal

Verb = Literal["start", "stop", "restart", "enable --now", "reload"]

_BOOTED: Final = Path("/run/systemd/system")
_IN_CONTAINER: Final = ", or 'wellkeeper prepare' in a container"
_PROGRAMS: Final = {
    "nginx": "nginx",
    "wellkeeper": "the issuer",
    "wellkeeper-node": "the node",
    "wellkeeper-relay": "the relay",
    "wellkeeper-responder": "the responder",
}


def is_booted() -> bool:
    """Return whether systemd manages this host (sd_booted(3)); in a container it does not."""
    return _BOOTED.is_dir()


def clause(verb: Verb, unit: str, *, has_systemd: bool | None = None) -> str:
    """Return how to do this to a unit, for the middle of a sentence; `has_systemd` is by default what this host has."""
    if _has_systemd(has_systemd):
        return f"run 'systemctl {verb} {unit}'"
    if verb == "reload":
        return f"run '{unit} -s reload' where {unit} runs"
    return f"{verb.removeprefix('enable --now') or 'start'} {_PROGRAMS[unit]}'s container or service"


def sentence(verb: Verb, unit: str, *, has_systemd: bool | None = None) -> str:
    """Return the clause as a sentence."""
    words = clause(verb, unit, has_systemd=has_systemd)
    return f"{words[0].upper()}{words[1:]}."


def log(unit: str, *, has_systemd: bool | None = None) -> str:
    """Return where to find the last messages of the unit, for the middle of a sentence."""
    if _has_systemd(has_systemd):
        return f"'journalctl -u {unit} -n 20'"
    return f"the log of {_PROGRAMS[unit]}'s container or service"


def set_up(*, has_systemd: bool | None = None) -> str:
    """Return the sentence that names the command for the first setup."""
    return f"Run 'wellkeeper setup'{'' if _has_systemd(has_systemd) else _IN_CONTAINER}."


def give(path: Path, own: int, *, has_systemd: bool | None = None) -> str:
    """Return the sentence that makes a file of another user usable for a process with the uid `own`."""
    if own == 0 or _has_systemd(has_systemd):
        return f"Run 'chown root {path}'."
    return f"Mount a volume of uid {own} there, or run 'chown {own} {path}' as root."


def _has_systemd(given: bool | None) -> bool:
    return is_booted() if given is None else given
