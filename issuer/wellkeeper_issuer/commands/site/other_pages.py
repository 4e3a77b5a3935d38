"""The pages about everything but single certificates: nodes, limits of CAs, rehearsals, and settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from wellkeeper_issuer.commands.site.paging import page_of
from wellkeeper_issuer.commands.site.rendering import render
from wellkeeper_issuer.commands.site.view import View
from wellkeeper_issuer.fleet.served_on import checked_at, earliest
from wellkeeper_issuer.records import Budget
from wellkeeper_issuer.settings.effective import in_effect
from wellkeeper_issuer.status.overview import Shown
from wellkeeper_node.wording import format_exact_time, format_time

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import Behind, NodeStatus

_SHOWN_BEHIND: Final = 10
_SECONDS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node; `expires_at` is the earliest expiry of what it serves, `notes` are what is behind or wrong."""

    name: str
    level: str
    state: str
    seen: str
    answers: str
    certificates: str
    expires_at: datetime | None
    checked_at: datetime | None
    notes: tuple[str, ...]


def nodes_page(view: View, _query: Mapping[str, str]) -> str:
    """Return the page with this host's nginx and responders, and the nodes that joined."""
    rows = sorted((_node(one, view.seen.now) for one in view.nodes), key=lambda one: one.level == "good")
    return render("nodes.html", view=view, here="nodes", rows=rows, responders=view.settings.nodes)


def _node(one: "NodeStatus", now: datetime) -> NodeRow:
    level, state = _node_state(one, now)
    behind, first = map(_behind, one.behind[:_SHOWN_BEHIND]), earliest(one)
    others = f"and {len(one.behind) - _SHOWN_BEHIND} more" if len(one.behind) > _SHOWN_BEHIND else ""
    notes = (one.problem(now) or one.absence(now), one.concern or "", *behind, others)
    return NodeRow(
        one.name,
        level,
        state,
        format_exact_time(one.seen_at) if one.seen_at else "never",
        "yes" if one.answers else "no",
        f"{one.current} of {one.total}",
        first.not_after if first else None,
        checked_at(one),
        tuple(filter(None, notes)),
    )


def _behind(one: "Behind") -> str:
    if one.instead is None:
        return f"{one.lineage}: {one.cause} {one.remedy}"
    until = f" until {format_time(one.instead.not_after_at)}" if one.instead.not_after_at else ""
    return f"{one.lineage}: clients get {one.instead.words}{until}: {one.cause} {one.remedy}"


def _node_state(one: "NodeStatus", now: datetime) -> tuple[str, str]:
    if one.problem(now):
        return "bad", "needs attention"
    if one.absence(now):
        return "warn", "gone"
    if one.behind:
        return "warn", "behind"
    return ("warn", "has a concern") if one.concern else ("good", "current")


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit of a CA for one account, domain, set or name."""

    ca: str
    level: str
    state: str
    what: str
    about: str
    period: str
    budget: Budget


def limits_page(view: View, query: Mapping[str, str]) -> str:
    """Return the page with what is left of each limit, the least first."""
    found = sorted(view.seen.budgets, key=lambda pair: pair[1].left / max(pair[1].limit.count, 1))
    paged = page_of(found, query)
    rows = [_limit(ca, one) for ca, one in paged.rows]
    return render("limits.html", view=view, here="limits", paged=paged, rows=rows)


def _limit(ca: str, one: Budget) -> LimitRow:
    limit = one.limit
    level = "bad" if not one.left else "warn" if one.left * 2 <= limit.count else "good"
    state = {"bad": "used up", "warn": "half used up", "good": "enough left"}[level]
    return LimitRow(
        ca, level, state, limit.spent.value, f"{limit.scope.value} {one.value}", _period(limit.seconds), one
    )


def _period(seconds: float) -> str:
    for unit, size in _SECONDS:
        if seconds >= size and seconds % size == 0:
            number = int(seconds // size)
            return unit if number == 1 else f"{number} {unit}s"
    return f"{seconds:g} seconds"


def rehearsals_page(view: View, query: Mapping[str, str]) -> str:
    """Return the page with the last rehearsal of each certificate: the failed ones first, then the oldest."""
    found = sorted(filter(_is_rehearsed, view.seen.shown), key=_urgency)
    days = view.settings.rehearsal.every_days
    return render("rehearsals.html", view=view, here="rehearsals", paged=page_of(found, query), days=days)


def _is_rehearsed(one: Shown) -> bool:
    return one.rehearsal is not None


def _urgency(one: Shown) -> tuple[bool, float]:
    return one.failed_rehearsal is None, one.rehearsal.at.timestamp() if one.rehearsal else 0.0


def settings_page(view: View, _query: Mapping[str, str]) -> str:
    """Return the page with the values in effect, without secrets and certificates."""
    return render("settings.html", view=view, here="settings", rows=in_effect(view.settings))
