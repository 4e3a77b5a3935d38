"""Check the relay of a fleet, and the nodes behind it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from wellkeeper_client import services
from wellkeeper_issuer.outside.host.unit_states import Properties
from wellkeeper_node.errors import RecordsError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.wording import format_time

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus

RELAY: Final = "relay"
NODES: Final = "nodes"
ENGINE: Final = "engine"
LEASE: Final = "lease"
UNIT: Final = "wellkeeper-relay.service"
_PARTS: Final = frozenset({"memory", "records", "server"})


async def check_relay(error: RecordsError | None, unit: Properties, *, is_fed: bool, has_daemon: bool) -> list[Finding]:
    """Return `relay`: it answers, starts with the host, and has what the daemon says.

    `error` is that of a request to it; `is_fed` if it has a heartbeat of the last minutes.
    """
    if error is not None:
        cause = f"{error.what}: {error.why}" if error.why else error.what
        start = services.sentence("enable --now", "wellkeeper-relay", has_systemd=bool(unit))
        return [Finding(RELAY, Verdict.FAIL, "", cause, start if unit else error.remedy or start)]
    if unit.get("UnitFileState") == "disabled":
        cause, fix = f"it answers, but {UNIT} does not start with the host", f"Run 'systemctl enable {UNIT}'."
        return [Finding(RELAY, Verdict.WARN, "", cause, fix)]
    if has_daemon and not is_fed:
        cause = "it answers, but has no heartbeat from the daemon"
        return [Finding(RELAY, Verdict.FAIL, "", cause, f"Read the reason in {services.log('wellkeeper')}.")]
    return [Finding(RELAY, Verdict.OK, "", "it answers" + (", and the daemon feeds it" if is_fed else ""))]


async def check_engine(faults: Sequence[Finding]) -> list[Finding]:
    """Return `engine`: it answers, has room, forgets nothing, and has only records of this fleet."""
    found = [replace(one, check=ENGINE, subject=_part(one)) for one in faults]
    return found or [Finding(ENGINE, Verdict.OK, "", "it answers, and has only records of this fleet")]


def _part(fault: Finding) -> str:
    """Return what of the engine it is about, as the daemon notifies once of each; "" if it may hide other faults."""
    return "" if fault.subject or fault.check not in _PARTS else fault.check


async def check_lease(words: str, *, has_failed: bool, is_elsewhere: bool, is_standby: bool) -> list[Finding]:
    """Return `lease`: the engine says who has it, which is another issuer only if this is a standby."""
    if has_failed:
        return [Finding(LEASE, Verdict.FAIL, "", words, "Run 'wellkeeper engine check'.")]
    if is_elsewhere and not is_standby:
        fix = "Stop one of the two issuers; while both run, the one without the lease waits."
        return [Finding(LEASE, Verdict.FAIL, "", words, fix)]
    return [Finding(LEASE, Verdict.OK, "", words)]


async def check_nodes(
    found: "Sequence[NodeStatus]", now: datetime, fullness: tuple[str, str] = ("", "")
) -> list[Finding]:
    """Return `nodes`: each has reported lately, has all of its certificates, and complains of nothing.

    `fullness` says that their manifest nears its limit, and what to do.
    """
    why, remedy = fullness
    return [*(_of_node(one, now) for one in found), *([Finding(NODES, Verdict.WARN, "", why, remedy)] if why else [])]


def _of_node(one: "NodeStatus", now: datetime) -> Finding:
    problem, look = one.problem(now), f"Run 'wellkeeper-node status' on {one.name}."
    if problem:
        fix = next((behind.remedy for behind in one.behind if behind.remedy and behind.cause in problem), "")
        return Finding(NODES, Verdict.FAIL, one.name, problem, fix or look)
    if absence := one.absence(now):
        return Finding(NODES, Verdict.OK, one.name, absence)
    if one.concern:
        return Finding(NODES, Verdict.WARN, one.name, one.concern, look)
    has = f"it has {one.current} of {one.total} certificates"
    seen = f", last seen at {format_time(one.seen_at)}" if one.seen_at else ", and has joined a moment ago"
    return Finding(NODES, Verdict.OK, one.name, has + seen)
