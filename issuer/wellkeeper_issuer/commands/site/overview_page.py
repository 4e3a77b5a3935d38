"""The first page: the verdict, what needs a person, and all certificates, the worst first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wellkeeper_issuer import idn
from wellkeeper_issuer.commands.site.paging import ROWS, link, page_of
from wellkeeper_issuer.commands.site.rendering import render
from wellkeeper_issuer.commands.site.view import View, level
from wellkeeper_issuer.commands.terminal import ranking
from wellkeeper_issuer.commands.terminal.distance import time_left
from wellkeeper_issuer.commands.terminal.ranking import Condition
from wellkeeper_issuer.records import Rule
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Shown

_SHOWN_NAMES: Final = 3
_RULES: Final[Mapping[Rule, str]] = {
    Rule.ARI: "suggested by the CA",
    Rule.LIFETIME: "by its lifetime",
    Rule.REVOKED: "it was revoked",
    Rule.RESTORED: "nodes have a newer one",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One certificate; `served` says whether `expires_at` is that of what clients get."""

    name: str
    condition: str
    level: str
    names: Sequence[str]
    more_names: int
    expires_at: datetime | None
    expires: str
    served: str
    renews_at: datetime | None
    renews: str
    rule: str
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Filter:
    """A link that shows the certificates of one condition."""

    condition: str
    level: str
    count: int
    link: str
    is_chosen: bool


def overview_page(view: View, query: Mapping[str, str], *, is_static: bool = False) -> str:
    """Return the page with the certificates of this `state` and with `name` in their names; a static one has all."""
    state, name = query.get("state", ""), query.get("name", "").strip()
    kept = {"state": state, "name": name}
    found = list(_chosen(view, state, name.lower()))
    paged = page_of(found, {**kept, "page": query.get("page", "")}, max(len(found), 1) if is_static else ROWS)
    return render(
        "overview.html",
        view=view,
        is_static=is_static,
        here="./",
        paged=paged,
        rows=[_row(condition, one, view) for condition, one in paged.rows],
        filters=[*_filters(view, kept)],
        state=state,
        name=name,
        tight=_nearly_used_up(view),
    )


def _chosen(view: View, state: str, name: str) -> Iterator[tuple[Condition, Shown]]:
    for condition, one in view.ranked:
        if state and condition.value != state:
            continue
        if not name or name in one.lineage.name or any(name in known for known in _searched(one)):
            yield condition, one


def _searched(one: Shown) -> Iterator[str]:
    for identifier in one.lineage.identifiers:
        yield identifier.value
        yield idn.to_unicode(identifier.value)


def _filters(view: View, kept: Mapping[str, str]) -> Iterator[Filter]:
    for one in Condition:
        if count := view.counts[one]:
            is_chosen = kept["state"] == one.value
            yield Filter(one.value, level(one), count, link(kept, state=one.value), is_chosen)


def _row(condition: Condition, one: Shown, view: View) -> Row:
    now, identifiers = view.seen.now, one.lineage.identifiers
    expires_at = one.served_not_after or one.not_after
    return Row(
        name=one.lineage.name,
        condition=condition.value,
        level=level(condition),
        names=[idn.describe(each.value) for each in identifiers[:_SHOWN_NAMES]],
        more_names=max(len(identifiers) - _SHOWN_NAMES, 0),
        expires_at=expires_at,
        expires=time_left(expires_at, now) if expires_at else "",
        served=served(one),
        renews_at=one.renew_at,
        renews=ranking.renewal(one, view.seen, is_dated=False),
        rule=_RULES[one.status.rule] if one.status.rule else "",
        notes=list(ranking.notes(one, view.seen)),
    )


def served(one: Shown) -> str:
    """Say in one or two words whether clients get the certificate whose expiry is shown."""
    if one.not_after is None and one.served_not_after is None:
        return ""
    if one.served_not_after is not None:
        return "another one is served"
    if one.status.state is State.PLACEHOLDER:
        return "a placeholder"
    return "served" if one.status.state in {State.SERVED, State.EXPIRED} else "installed"


def _nearly_used_up(view: View) -> int:
    return sum(one.left * 2 <= one.limit.count for _, one in view.seen.budgets)
