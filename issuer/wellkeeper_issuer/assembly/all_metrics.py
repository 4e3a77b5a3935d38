"""Write metrics: what the disk shows, and what the daemon counted.

prometheus-client is loaded only when metrics are written.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_issuer.assembly.build import version

if TYPE_CHECKING:
    from datetime import datetime

    from wellkeeper_issuer.fleet.node_status import NodeStatus
    from wellkeeper_issuer.settings import Settings
    from wellkeeper_issuer.status.activity import Activity
    from wellkeeper_issuer.status.overview import Overview


# Every Prometheus reads this version of the format; the next one differs only in names with other characters than ours.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def on_disk(settings: "Settings", seen: "Overview", nodes: "Sequence[NodeStatus]") -> str:
    """Return the metrics of what the disk shows.

    A standby has the issuer's records of some time ago, so it exports only what it does itself. Raises WellkeeperError.
    """
    from wellkeeper_issuer.outside.state.standby import read_standby, read_watch
    from wellkeeper_issuer.status import exposition, issuer_metrics, metrics

    if read_standby(settings.state_dir) is None:
        return recorded(seen, nodes, asyncio.run(_problems(settings, seen)))
    watch = read_watch(settings.state_dir, seen.now)
    is_ready = watch is not None and watch.is_expected if settings.fleet.engine.address else None
    return exposition.to_text([*metrics.of_output(seen, version()), *issuer_metrics.of_standby(is_ready=is_ready)])


def recorded(seen: "Overview", nodes: "Sequence[NodeStatus]", problems: Mapping[str, bool]) -> str:
    """Return the metrics of an issuer, its certificates and nodes."""
    from wellkeeper_issuer.status import exposition, issuer_metrics, metrics, node_metrics, target_metrics

    families = [
        *metrics.of_certificates(seen, version()),
        *issuer_metrics.of_issuer(problems),
        *target_metrics.of_targets(seen.targets),
        *node_metrics.of_nodes(nodes),
    ]
    return exposition.to_text(families)


def counts(activity: "Activity", started_at: "datetime", checked: Mapping[str, Any]) -> str:
    """Return the metrics of a daemon; `checked` is what `Factories.checked` returns."""
    from wellkeeper_issuer.status import activity_metrics, daemon_metrics, exposition

    of_activity = activity_metrics.of_activity(activity)
    return exposition.to_text([*daemon_metrics.of_daemon(started_at, checked), *of_activity])


async def _problems(settings: "Settings", seen: "Overview") -> Mapping[str, bool]:
    """Return what `status --check` reports about the issuer itself, as far as it is on disk."""
    from wellkeeper_issuer.assembly.node_statuses import read_fullness, read_issuers_warning, read_waiting

    found = {"no_certificates": not seen.shown}
    if settings.fleet.listen:
        found["other_issuer"] = bool(await read_issuers_warning(settings))
        found["waits_for_nodes"] = await read_waiting(settings) is not None
        found["manifest_full"] = bool(read_fullness(settings)[0])
    return found
