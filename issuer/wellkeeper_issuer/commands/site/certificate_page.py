"""The page of one certificate: why it is as it is, how it came here, its chain, and what each node has."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from wellkeeper_issuer import idn
from wellkeeper_issuer.commands import status_nodes
from wellkeeper_issuer.commands.site import timeline
from wellkeeper_issuer.commands.site.rendering import render
from wellkeeper_issuer.commands.site.timeline import Step
from wellkeeper_issuer.commands.site.view import View, level
from wellkeeper_issuer.commands.terminal import ranking
from wellkeeper_issuer.commands.why import sentences
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import LOCAL_NODE
from wellkeeper_issuer.settings.effective import in_effect_of
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Shown
from wellkeeper_node import history
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.certificates.leaves import Link, read_chain
from wellkeeper_node.history import Entry
from wellkeeper_node.wording import format_time

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.served_on import OnNode

_EVENTS: Final = 20


@dataclass(frozen=True, slots=True)
class Row:
    """The state of the certificate on a node; `serves` names what clients get, which expires at `not_after`."""

    node: str
    level: str
    state: str
    serves: str = ""
    not_after: datetime | None = None
    checked_at: datetime | None = None
    since: str = ""
    cause: str = ""
    remedy: str = ""


def certificate_page(view: View, query: Mapping[str, str]) -> str | None:
    """Return the page of the certificate with this `name`, None if there is none. Blocking. Raises what `look` does."""
    known = view.by_name.get(query.get("name", ""))
    if known is None:
        return None
    _, listed = known
    lineage, settings = listed.lineage, view.settings
    seen = asyncio.run(overview.look(settings, [lineage], reads_certificates=True, is_about_one=True))
    (shown,) = seen.shown
    condition, entries = ranking.condition(shown, seen), _events(view, lineage)
    return render(
        "certificate.html",
        view=view,
        here="",
        one=shown,
        names=[idn.describe(each.value) for each in lineage.identifiers],
        condition=condition.value,
        level=level(condition),
        sentences=list(sentences(settings, seen, shown, view.nodes, is_outdated=view.is_outdated)),
        attempt=_attempt(view, shown),
        steps=timeline.of_version(shown, entries),
        chain=_chain(view, shown),
        settings=in_effect_of(settings, lineage.name),
        on_nodes=list(_on_nodes(view, shown)),
        events=[(one, _details(one)) for one in reversed(entries[-_EVENTS:])],
    )


def _events(view: View, lineage: Lineage) -> Sequence[Entry]:
    try:
        return history.read_about(view.settings.state_dir, lineage.name)
    except OSError as error:
        what = f"cannot read {error.filename or view.settings.state_dir}"
        raise JournalError(what, error.strerror or str(error), remedies.of_reading(error)) from error


def _attempt(view: View, shown: Shown) -> Sequence[Step]:
    """Return the steps of the renewal in progress, else of the last one if it failed."""
    under_way, is_external = (view.daemon or {}).get("under_way", {}), shown.lineage.is_external
    if stage := under_way.get(shown.lineage.name):
        return timeline.of_attempt(stage, None, is_external=is_external)
    failure = shown.status.failure
    return timeline.of_attempt(failure.stage, failure, is_external=is_external) if failure else ()


def _chain(view: View, shown: Shown) -> Sequence[Link]:
    version = shown.status.version
    return read_chain(view.settings.certificates_dir, shown.lineage.name, version) if version else ()


def _on_nodes(view: View, shown: Shown) -> Iterator[Row]:
    if view.settings.local_node and shown.status.version:
        yield _here(shown, _numbered(view, shown))
    for one in status_nodes.on_each(view.nodes, shown.lineage.name):
        yield _there(one, view.seen.now)


def _there(one: "OnNode", now: datetime) -> Row:
    level = "good" if one.is_right(now) else "bad" if one.is_bad(now) else "open" if one.state is None else "warn"
    since = f"since {format_time(one.since)}" if one.since else ""
    serves = f"{one.serves} ({one.version})" if one.version else one.serves
    return Row(one.node, level, one.words(now), serves, one.not_after, one.checked_at, since, one.cause, one.remedy)


def _numbered(view: View, shown: Shown) -> str:
    """Name the live version as nodes do, if they get it."""
    name, version = shown.lineage.name, shown.status.version
    for node in view.nodes:
        listed = node.listed.get(name)
        if listed is not None and listed.entry.version.archive_name == version:
            return f"version {listed.entry.version.number} ({version})"
    return f"version {version}"


def _here(shown: Shown, version: str) -> Row:
    """Return what this host's nginx serves, as the daemon last looked."""
    check, status = shown.check, shown.status
    row = Row(LOCAL_NODE, "warn", status.state.words, checked_at=check.at if check else None)
    if status.failure is not None and status.failure.stage == "verify":
        row = replace(row, since=f"since {format_time(status.failure.first_at)}", cause=status.failure.message)
    if shown.served_not_after is not None:
        words = "another certificate"
        return replace(row, level="bad", state=words, serves=words, not_after=shown.served_not_after)
    if status.state is State.SERVED:
        return replace(row, level="good", serves=version, not_after=shown.not_after)
    return replace(row, level="good") if status.state is State.HIDDEN else row


def _details(entry: Entry) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {words}" for name, words in entry.details.items())
