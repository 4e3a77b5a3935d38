"""status --json, and /v1/status of the daemon: one object with everything that is known."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wellkeeper_issuer.commands import status_issuers, status_nodes
from wellkeeper_issuer.commands.terminal.outdated import is_restart_needed
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.overview import Overview
from wellkeeper_issuer.status.targets import to_json as to_json_of_targets

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus
    from wellkeeper_node.nginx.reached import Reached


def to_json(
    settings: Settings,
    seen: Overview,
    nodes: "Sequence[NodeStatus]",
    daemon: Mapping[str, Any] | None,
    *,
    is_outdated: bool,
) -> dict[str, object]:
    """Return the object; `daemon` is the answer of the daemon to `status`, if one runs."""
    nginx = reached(settings)
    return {
        "certificates": [overview.to_json(one, seen.rows) for one in seen.shown],
        "daemon": _daemon_to_json(seen.daemon_pid, daemon) if seen.daemon_pid else None,
        "limits": [overview.budget_to_json(ca, budget) for ca, budget in seen.budgets],
        "nodes": list(map(status_nodes.to_json, nodes)),
        "is_reload_needed": is_outdated,
        "nginx": nginx.to_json() if nginx else None,
        "notifications": to_json_of_targets(seen.targets),
        "publishers": [{"name": one.name, "identifiers": list(one.identifiers)} for one in settings.publishers],
        **status_issuers.read(settings).to_json(),
    }


def reached(settings: Settings) -> "Reached | None":
    """Return how the nginx of this host is reached; None where there is none."""
    from wellkeeper_issuer.assembly.build import nginx_control
    from wellkeeper_node.clock import SystemClock
    from wellkeeper_node.nginx.reached import reach

    return asyncio.run(reach(nginx_control(settings), SystemClock())) if settings.local_node else None


def _daemon_to_json(pid: int, daemon: Mapping[str, Any] | None) -> dict[str, object]:
    answer = daemon or {}
    return {
        "pid": pid,
        "is_restart_needed": is_restart_needed(daemon),
        "checked_at": answer.get("checked_at"),
        "findings": answer.get("findings", []),
        "endpoint_problem": answer.get("endpoint_problem"),
        "heartbeat": answer.get("heartbeat"),
    }
