"""why: explain in sentences when and by which rule a certificate is renewed, the last failure, and the next step."""

import asyncio
from collections.abc import Container, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wellkeeper_issuer import idn
from wellkeeper_issuer.commands import status_nodes
from wellkeeper_issuer.commands.terminal import options, screen
from wellkeeper_issuer.commands.terminal.distance import distance
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.obtain.blocks import is_in_force
from wellkeeper_issuer.obtain.due import explain
from wellkeeper_issuer.records import Failure, Rule, Schedule
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Overview, Shown
from wellkeeper_node.errors import Retry
from wellkeeper_node.wording import format_time, times_in_a_row

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus

_STATES: Final = {State.SERVED: "nginx serves it.", State.EXPIRED: "It has expired."}


@click.command()
@options.name_argument
@options.config_option
@options.json_option
def why(name: str, config: Path | None, as_json: bool) -> None:
    """Explain when the certificate NAME is renewed and why, what happened last, and what happens next."""
    settings = options.read(config, is_for_standbys=True)
    lineages = choose(settings, [name])
    seen = asyncio.run(overview.look(settings, lineages, reads_certificates=True, is_about_one=True))
    shown = seen.shown[0]
    is_outdated = warn_if_outdated(settings, config)
    nodes = status_nodes.read_if_any(settings)
    found = list(sentences(settings, seen, shown, nodes, is_outdated=is_outdated))
    if as_json:
        wake_at = shown.status.wake_at.isoformat()
        print_json(
            {
                **overview.to_json(shown, seen.rows),
                "wake_at": wake_at,
                "why": found,
                "nodes": status_nodes.on_each_to_json(nodes, shown.lineage.name),
                "is_reload_needed": is_outdated,
            }
        )
    else:
        screen.print_lines(found)


def sentences(
    settings: Settings, seen: Overview, shown: Shown, nodes: "Sequence[NodeStatus]", *, is_outdated: bool
) -> Iterator[str]:
    """Yield the sentences about one certificate, here and on each node where it is not as it should be."""
    yield from _what(settings, shown, seen.now, seen.rows.under_way)
    if shown.lineage.is_external:
        yield "Another ACME client renews it, and runs 'wellkeeper deliver' with each new certificate."
    elif shown.status.schedule is not None:
        yield from _when(shown.status.schedule, seen.now)
    yield from _last(settings, seen, shown)
    for one in status_nodes.on_each(nodes, shown.lineage.name):
        if not one.is_right(seen.now):
            yield one.sentence(seen.now)
    yield _next(seen, shown, is_outdated=is_outdated)


def _what(settings: Settings, shown: Shown, now: datetime, under_way: Container[str]) -> Iterator[str]:
    """Name the certificate, its live version, and whether nginx serves it."""
    names = ", ".join(idn.describe(one.value) for one in shown.lineage.identifiers)
    yield f"Certificate {shown.lineage.name} is configured for {names}."
    status, certificate = shown.status, shown.certificate
    if shown.lineage.name in under_way and status.failure is None:
        yield "A renewal is in progress."
    if status.version is None:
        yield "No certificate is installed yet."
        return
    if status.state is State.PLACEHOLDER or certificate is None:
        yield f"The live version {status.version} {'is a placeholder' if certificate else 'cannot be read'}."
        return
    url = status.schedule.directory_url if status.schedule else ""
    by = f"{certificate.issued_by} (the CA {settings.find_ca(url).name})" if url else certificate.issued_by
    yield (
        f"Version {status.version} is live: issued by {by}, valid from {format_time(certificate.not_before)}"
        f" until {format_time(certificate.not_after)}, {distance(certificate.not_after, now)}."
    )
    yield _STATES.get(status.state, f"It is {status.state.words}.")


def _when(schedule: Schedule, now: datetime) -> Iterator[str]:
    """State the time of renewal and the rule that set it; `now` may be later than both."""
    rule = explain(schedule, now)
    yield f"It will be renewed from {format_time(schedule.renew_at)} on ({distance(schedule.renew_at, now)}): {rule}."
    if schedule.explanation_url and schedule.explanation_url not in rule:
        yield f"The CA explains its window at {schedule.explanation_url}."
    if schedule.rule in {Rule.REVOKED, Rule.RESTORED}:
        return
    if not schedule.directory_url:
        yield "Wellkeeper cannot ask for renewal info (RFC 9773): it does not know which CA issued this certificate."
    elif schedule.certificate_id is None:
        yield "Wellkeeper cannot ask for renewal info (RFC 9773): the certificate does not name its authority key."
    elif schedule.unanswered:
        times = times_in_a_row(schedule.unanswered)
        yield f"The CA gave no usable renewal info (RFC 9773) {times}{_again(schedule, now)}."
    elif schedule.rule is Rule.LIFETIME:
        yield f"The CA has not yet suggested a window (RFC 9773){_again(schedule, now)}."
    else:
        yield f"The window is from the CA's last renewal info (RFC 9773){_again(schedule, now)}."


def _again(schedule: Schedule, now: datetime) -> str:
    if schedule.ask_at is None or now >= schedule.not_after:
        return ""
    return f"; Wellkeeper asks again at {format_time(schedule.ask_at)}"


def _last(settings: Settings, seen: Overview, shown: Shown) -> Iterator[str]:
    """Report the last failure, and what delays the next try."""
    name, failure = shown.lineage.name, shown.status.failure
    if failure is not None:
        yield from _failed(failure)
    for url in shown.lineage.directory_urls:
        for key in ((url, ""), (url, name)):
            blocked = seen.rows.blocks.get(key)
            if blocked is not None and is_in_force(blocked, seen.now):
                is_known = failure is not None and failure.message in blocked.reason
                reason = "" if is_known else f": {blocked.reason}"
                ca, until = settings.find_ca(url).name, format_time(blocked.until)
                yield f"Wellkeeper sends no orders to the CA {ca} until {until}{reason}."
    if shown.veto_until is not None:
        until = format_time(shown.veto_until)
        yield f"The read-back through nginx fails; from {until} on, Wellkeeper asks the CA anyway."
    if shown.rehearsal is not None and (shown.rehearsal.is_well or shown.failed_rehearsal):
        result = "succeeded" if shown.rehearsal.is_well else "failed"
        detail = f": {shown.rehearsal.detail}" if shown.rehearsal.detail else ""
        yield f"The last rehearsal, at {format_time(shown.rehearsal.at)}, {result}{detail}."


def _failed(failure: Failure) -> Iterator[str]:
    times, last_at = times_in_a_row(failure.count), format_time(failure.last_at)
    since = f" since {format_time(failure.first_at)}" if failure.count > 1 else ""
    yield f"It failed {times}{since}, last at {last_at} in the stage {failure.stage}: {failure.message}"
    if failure.retry is Retry.NEVER:
        yield "Retrying will not help until this is fixed. Wellkeeper still retries, less and less often."


def _next(seen: Overview, shown: Shown, *, is_outdated: bool) -> str:
    """Return the next step, who takes it, and when."""
    status, name = shown.status, shown.lineage.name
    daemon = f"the daemon (pid {seen.daemon_pid})" if seen.daemon_pid else ""
    worker = daemon or "the next 'wellkeeper renew' (no daemon is running)"
    if status.is_waiting and status.next_try_at is not None:
        return (
            f"Due: {status.to_do}. Next try: {format_time(status.next_try_at)}, by {worker}."
            f" Run 'wellkeeper renew {name}' to retry now."
        )
    if status.state is State.NOT_SERVED and status.to_do:
        return (
            "To do: add the certificate to a server block of nginx ('wellkeeper trust' prints the lines) and reload"
            f" nginx. Next check: {'within minutes' if daemon else 'any time'}, by {worker}."
        )
    if status.to_do and not daemon:
        return f"Due now: {status.to_do}. Run 'wellkeeper renew {name}'."
    if status.to_do:
        when = "once it has read these settings; run 'wellkeeper reload'" if is_outdated else "within a minute"
        return f"Due now: {status.to_do}; {daemon} does it {when}."
    return f"Nothing to do before {format_time(status.wake_at)}; then it is up to {worker}."
