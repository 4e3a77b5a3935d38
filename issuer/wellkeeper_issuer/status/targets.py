"""The targets of notifications and the heartbeat that fail: what `status` shows, and what `status --check` reports."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from wellkeeper_issuer.messages import Backlog
from wellkeeper_node.wording import counted, format_time

# A short outage loses nothing: what waits is sent afterwards.
_LONG: Final = timedelta(hours=1)

Targets = Mapping[str, Backlog]


def failing(targets: Targets) -> Iterator[str]:
    """Yield a line for each target that accepts nothing."""
    for name, one in targets.items():
        if one.since is not None:
            waiting = f"{counted(one.waiting, 'message')} {'waits' if one.waiting == 1 else 'wait'}"
            yield f"notifications to {name} have failed since {format_time(one.since)}, {waiting}: {one.error}"


def failing_heartbeat(daemon: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line if the heartbeat of the daemon with this status fails."""
    found = daemon.get("heartbeat") or {}
    if found.get("error"):
        since = format_time(datetime.fromisoformat(found["failing_since"]))
        yield f"heartbeat: has failed since {since}: {found['error']}"


def long_failing(targets: Targets, now: datetime) -> Targets:
    """Return the targets that have accepted nothing for an hour."""
    return {name: one for name, one in targets.items() if one.since is not None and now - one.since >= _LONG}


def to_json(targets: Targets) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "waiting": one.waiting,
            "failing_since": one.since.isoformat(timespec="seconds") if one.since else None,
            "error": one.error or None,
        }
        for name, one in targets.items()
    ]
