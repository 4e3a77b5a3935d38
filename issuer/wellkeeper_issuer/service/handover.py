"""Hand a renewal over to the running daemon: without event loop and settings, so that a command ends sooner."""

import socket
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wellkeeper_client import permissions
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import peek_state_dir
from wellkeeper_issuer.outside.daemon.socket import (
    Message,
    decode,
    encode,
    ended_early,
    is_last,
    result_of,
    socket_path,
)
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.service.broadcast import replay
from wellkeeper_issuer.service.report_wire import decode_report
from wellkeeper_node.ports import Progress


@dataclass(frozen=True, slots=True)
class Handed:
    """The daemon's reports; `is_reload_needed` when the settings changed since it loaded them."""

    reports: list[Report]
    is_reload_needed: bool


def renew(settings: Path, names: Sequence[str], mode: Mode, progress: Progress) -> Handed | None:
    """Have the daemon renew, and return what it reports. Without names, all.

    None when no daemon runs, and when only the whole settings can tell what is wrong with the request: then read them.
    Raises DaemonError. If interrupted, the daemon continues.
    """
    state_dir = peek_state_dir(settings)
    if state_dir is None:
        return None
    request = {"command": "renew", "names": list(names), "mode": mode.value}
    try:
        path = socket_path(state_dir)
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            answer = _ask(connection, request, progress) if _is_connected(connection, path) else None
    except SettingsError:
        return None
    if answer is None:
        return None
    return Handed([decode_report(report) for report in answer["reports"]], bool(answer.get("is_reload_needed")))


def _is_connected(connection: socket.socket, path: Path) -> bool:
    """Connect; return False when no daemon runs, or it cannot be determined or trusted: the settings explain why."""
    if permissions.find_socket_fault(path):
        return False
    try:
        connection.connect(str(path))
    except OSError:
        return False
    return True


def _ask(connection: socket.socket, request: Message, progress: Progress) -> dict[str, Any]:
    try:
        connection.sendall(encode(request))
        for line in connection.makefile("rb"):
            message = decode(line) or {}
            if is_last(message):
                answer: dict[str, Any] = result_of(message)
                return answer
            replay(message, progress)
    except ConnectionError as error:
        raise ended_early() from error
    raise ended_early()
