"""status --nodes: how far each node has come, what is behind and why, from disk alone."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_issuer.commands.terminal import screen
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.wording import format_time

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus
    from wellkeeper_issuer.fleet.served_on import OnNode
    from wellkeeper_node.agent.instead import Instead

_TITLES: Final = ("NODE", "SEEN", "FOLLOWS", "ANSWERS", "CLOCK", "CERTIFICATES", "EXPIRES", "BEHIND")
_DAY: Final = 86_400


def read_if_any(settings: Settings) -> "Sequence[NodeStatus]":
    """Return none where no node can join. Raises SettingsError, JournalError and InstallError."""
    if not settings.fleet.listen:
        return ()
    from wellkeeper_issuer.assembly.node_statuses import read_node_statuses

    return asyncio.run(read_node_statuses(settings))


def fullness(settings: Settings) -> list[str]:
    """Return a line if the manifest nears the limit of its size."""
    from wellkeeper_issuer.assembly.node_statuses import read_fullness

    why, remedy = read_fullness(settings)
    return [f"{why}. {remedy}"] if why else []


def show(found: "Sequence[NodeStatus]", warning: str) -> None:
    """Print the table."""
    if warning:
        screen.print_lines([warning])
    now = SystemClock().now()
    if found:
        print_table(_TITLES, [_row(one, now) for one in found], name_column=0, cuts_last=False)
    else:
        screen.print_lines(["no other node has joined"])


def present(found: "Sequence[NodeStatus]") -> "Sequence[NodeStatus]":
    """Return the nodes without ephemeral ones that are gone."""
    now = SystemClock().now()
    return [one for one in found if not one.absence(now)]


def problems(found: "Sequence[NodeStatus]") -> list[str]:
    """Return a line for each node that needs a person."""
    now = SystemClock().now()
    return [f"node {one.name}: {problem}" for one in found if (problem := one.problem(now))]


def to_json(one: "NodeStatus") -> dict[str, Any]:
    """Return the same keys for all nodes; unknown values are null."""
    from wellkeeper_issuer.fleet.served_on import checked_at, earliest

    first, now = earliest(one), SystemClock().now()
    return {
        "name": one.name,
        "answers": one.answers,
        "enrolled_at": one.enrolled_at.isoformat(),
        "seen_at": one.seen_at.isoformat() if one.seen_at else None,
        "follows": list(one.follows),
        "version": one.version,
        "clock_seconds": None if one.clock_seconds is None else round(one.clock_seconds, 1),
        "certificates": one.total,
        "current": one.current,
        "behind": [
            {
                "name": behind.lineage,
                "since": behind.since.isoformat(),
                "cause": behind.cause,
                "remedy": behind.remedy,
                "instead": _instead_to_json(behind.instead) if behind.instead else None,
            }
            for behind in one.behind
        ],
        "checked_at": _text(checked_at(one)),
        "served_not_after": first.not_after.isoformat() if first else None,
        "serves": None,
        "is_ephemeral": one.is_ephemeral,
        "absence": one.absence(now) or None,
        "concern": one.concern,
        "problem": one.problem(now) or None,
    }


def in_full(nodes: "Sequence[NodeStatus]") -> dict[str, Any]:
    """Return all nodes, each with what it has of each of its certificates: long, if there are many."""
    from wellkeeper_issuer.fleet.served_on import on_node

    now = SystemClock().now()
    found = [
        to_json(one) | {"serves": [served_to_json(on_node(one, name), now) for name in sorted(one.listed)]}
        for one in nodes
    ]
    return {"nodes": found}


def on_each(nodes: "Sequence[NodeStatus]", lineage: str) -> "Iterator[OnNode]":
    """Yield what each node that gets the certificate has of it."""
    from wellkeeper_issuer.fleet.served_on import on_node

    yield from (on_node(one, lineage) for one in nodes if lineage in one.listed)


def on_each_to_json(nodes: "Sequence[NodeStatus]", lineage: str) -> list[dict[str, Any]]:
    """Return the same for one certificate as `in_full` for all."""
    now = SystemClock().now()
    return [served_to_json(one, now) for one in on_each(nodes, lineage)]


def served_to_json(one: "OnNode", now: datetime) -> dict[str, Any]:
    """Return the same keys for all certificates; unknown values are null."""
    return {
        "node": one.node,
        "name": one.lineage,
        "is_right": one.is_right(now),
        "state": one.state.value if one.state else None,
        "newest": one.newest,
        "what": one.what.value if one.what else None,
        "number": one.number,
        "version": one.version or None,
        "serial": one.serial or None,
        "fingerprint_sha256": one.fingerprint_sha256 or None,
        "not_after": _text(one.not_after),
        "since": _text(one.since),
        "checked_at": _text(one.checked_at),
        "cause": one.cause or None,
        "remedy": one.remedy or None,
    }


def _instead_to_json(one: "Instead") -> dict[str, Any]:
    return {
        "what": one.what.value,
        "number": one.number,
        "serial": one.serial or None,
        "not_after": _text(one.not_after_at),
        "since": _text(one.since_at),
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _row(one: "NodeStatus", now: datetime) -> Row:
    from wellkeeper_issuer.fleet.served_on import earliest

    first = earliest(one)
    cells = (
        one.name,
        ago(now, one.seen_at),
        ", ".join(one.follows),
        "yes" if one.answers else "no",
        "" if one.clock_seconds is None else f"{one.clock_seconds:+.1f} s",
        f"{one.current} of {one.total}",
        f"{first.not_after:%Y-%m-%d}" if first else "",
        one.absence(now) or _note(one),
    )
    return Row(cells, "red" if one.problem(now) else "yellow" if one.behind or one.concern else "green")


def ago(now: datetime, at: datetime | None) -> str:
    """Return the age of a report."""
    if at is None:
        return "never"
    seconds = max((now - at).total_seconds(), 0)
    for size, unit in ((_DAY, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _note(one: "NodeStatus") -> str:
    """Return what is behind, in the node's words, else what is wrong beside certificates."""
    if not one.behind:
        return one.concern or ""
    first = one.behind[0]
    more = f"; and {len(one.behind) - 1} more" if len(one.behind) > 1 else ""
    gets = f"; clients get {first.instead.words}" if first.instead else ""
    return f"{first.lineage}: {first.cause}{gets} (since {format_time(first.seen_since)}){more}"
