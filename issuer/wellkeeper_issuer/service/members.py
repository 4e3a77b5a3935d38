"""Members of requests over the daemon's socket, checked."""

from typing import Any

from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.daemon.socket import Message
from wellkeeper_issuer.reports import Mode


def names_of(request: Message, member: str = "names") -> list[str]:
    names: Any = request.get(member, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DaemonError(f"{member} must be a list of strings, not {names!r:.80}")
    return names


def mode_of(request: Message) -> Mode:
    try:
        return Mode(request.get("mode", Mode.SCHEDULED.value))
    except ValueError:
        modes = ", ".join(mode.value for mode in Mode)
        raise DaemonError(f"mode must be one of {modes}, not {request['mode']!r:.80}") from None
