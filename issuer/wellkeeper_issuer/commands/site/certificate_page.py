"""The page of one certificate: why it is as it is, how it came here, its chain, and what each node has."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer import idn
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

_EVENTS: Final = 20


@dataclass(frozen=True, slots=True)
class OnNode:
    """The state of the certificate on a node, in words."""

    node: str
    level: str
    state: str
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
        sentences=list(sentences(settings, seen, shown, is_outdated=view.is_outdated)),
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


def _on_nodes(view: View, shown: Shown) -> Iterator[OnNode]:
    if view.settings.local_node and shown.status.version:
        yield _here(shown)
    for node in view.nodes:
        if not node.gets(shown.lineage.name):
            continue
        behind = next((one for one in node.behind if one.lineage == shown.lineage.name), None)
        if behind is not None:
            since = f"{behind.cause} (since {format_time(behind.since)})"
            yield OnNode(node.name, "warn", "behind", since, behind.remedy)
        elif node.seen_at is None:
            yield OnNode(node.name, "open", "unknown", "it has never reported")
        else:
            yield OnNode(node.name, "good", "newest version", f"reported at {format_time(node.seen_at)}")


def _here(shown: Shown) -> OnNode:
    check, state = shown.check, shown.status.state
    looked = f"last looked at {format_time(check.at)}" if check else "not looked at yet"
    if shown.served_not_after is not None:
        other = f"clients get a certificate that expires at {format_time(shown.served_not_after)}; {looked}"
        return OnNode(LOCAL_NODE, "bad", "another certificate", other)
    is_good = state in {State.SERVED, State.HIDDEN}
    return OnNode(LOCAL_NODE, "good" if is_good else "warn", state.words, looked)


def _details(entry: Entry) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {words}" for name, words in entry.details.items())
