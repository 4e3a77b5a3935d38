"""why: in sentences, when a certificate is renewed and by which rule, what happened last, and what happens next."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer import idn
from wellkeeper_issuer.commands.terminal import options
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
from wellkeeper_node.wording import counted, format_time, times_in_a_row

_ONCE_READ: Final = " once it has read these settings ('wellkeeper reload')"


@click.command()
@click.argument("name", type=options.lineage_name)
@options.config_option
@options.json_option
def why(name: str, config: Path | None, as_json: bool) -> None:
    """Explain when the certificate NAME is renewed and why, what happened last, and what happens next."""
    settings = options.read(config)
    lineages = choose(settings, [name])
    seen = asyncio.run(overview.look(settings, lineages, reads_certificates=True, is_about_one=True))
    shown = seen.shown[0]
    sentences = list(_sentences(settings, seen, shown))
    is_outdated = warn_if_outdated(settings, config)
    if as_json:
        wake_at = shown.status.wake_at.isoformat()
        print_json(
            {
                **overview.to_json(shown, seen.rows),
                "wake_at": wake_at,
                "why": sentences,
                "is_reload_needed": is_outdated,
            }
        )
    else:
        click.echo("\n".join(sentences))


def _sentences(settings: Settings, seen: Overview, shown: Shown) -> Iterator[str]:
    yield from _what(settings, shown, seen.now)
    if shown.status.schedule is not None:
        yield from _when(shown.status.schedule, seen.now)
    yield from _last(settings, seen, shown)
    yield _next(seen, shown)


def _what(settings: Settings, shown: Shown, now: datetime) -> Iterator[str]:
    """What is there, and whether nginx has it."""
    names = ", ".join(idn.describe(one.value) for one in shown.lineage.identifiers)
    yield f"{shown.lineage.name} is to be a certificate for {names}."
    status, certificate = shown.status, shown.certificate
    if status.version is None:
        yield "None is installed yet."
        return
    if status.state is State.PLACEHOLDER or certificate is None:
        yield f"Version {status.version} is live, {'a placeholder' if certificate else 'which cannot be read'}."
        return
    url = status.schedule.directory_url if status.schedule else ""
    by = f"{certificate.issued_by} (the CA {settings.find_ca(url).name})" if url else certificate.issued_by
    yield (
        f"Version {status.version} is live: issued by {by}, valid from {format_time(certificate.not_before)}"
        f" until {format_time(certificate.not_after)}, {_distance(certificate.not_after, now)}."
    )
    yield f"Its state is: {status.state.words}."


def _when(schedule: Schedule, now: datetime) -> Iterator[str]:
    """The time of renewal and the rule that set it; `now` may be beyond both."""
    rule = explain(schedule, now)
    yield f"It is renewed from {format_time(schedule.renew_at)} on ({_distance(schedule.renew_at, now)}): {rule}."
    if schedule.explanation_url and schedule.explanation_url not in rule:
        yield f"The CA explains its window at {schedule.explanation_url}."
    if schedule.rule is Rule.REVOKED:
        return
    if not schedule.directory_url:
        yield "No CA can be asked when to renew it (RFC 9773): nobody wrote down which one issued it."
    elif schedule.certificate_id is None:
        yield "Its CA cannot be asked when to renew it (RFC 9773): the certificate does not name its authority's key."
    elif schedule.unanswered:
        times = times_in_a_row(schedule.unanswered)
        yield f"Its CA was asked when to renew it (RFC 9773), but gave no usable answer {times}{_again(schedule, now)}."
    elif schedule.rule is Rule.LIFETIME:
        yield f"Its CA has not suggested a window (RFC 9773) so far{_again(schedule, now)}."
    else:
        yield f"The window is the CA's last answer (RFC 9773){_again(schedule, now)}."


def _again(schedule: Schedule, now: datetime) -> str:
    if schedule.ask_at is None or now >= schedule.not_after:
        return ""
    return f"; it is asked again at {format_time(schedule.ask_at)}"


def _last(settings: Settings, seen: Overview, shown: Shown) -> Iterator[str]:
    """What went wrong, and what stands in the way."""
    name, failure = shown.lineage.name, shown.status.failure
    if failure is not None:
        yield from _failed(failure)
    for url in shown.lineage.directory_urls:
        for key in ((url, ""), (url, name)):
            blocked = seen.rows.blocks.get(key)
            if blocked is not None and is_in_force(blocked, seen.now):
                is_said = failure is not None and failure.message in blocked.reason
                reason = "that is why" if is_said else blocked.reason
                yield f"The CA {settings.find_ca(url).name} is left alone until {format_time(blocked.until)}: {reason}."
    if shown.veto_until is not None:
        until = format_time(shown.veto_until)
        yield f"The read-back through nginx fails; the CA is asked all the same from {until} on."
    if shown.rehearsal is not None:
        result = "went well" if shown.rehearsal.is_well else "failed"
        detail = f": {shown.rehearsal.detail}" if shown.rehearsal.detail else ""
        yield f"The last rehearsal, at {format_time(shown.rehearsal.at)}, {result}{detail}."


def _failed(failure: Failure) -> Iterator[str]:
    times, last_at = times_in_a_row(failure.count), format_time(failure.last_at)
    since = f" since {format_time(failure.first_at)}" if failure.count > 1 else ""
    yield f"It failed {times}{since}, last at {last_at} in the stage {failure.stage}: {failure.message}"
    if failure.retry is Retry.NEVER:
        yield "Trying again brings nothing before somebody has mended that; it is tried all the same, ever more rarely."


def _next(seen: Overview, shown: Shown) -> str:
    status, name = shown.status, shown.lineage.name
    if status.is_waiting and status.next_try_at is not None:
        return (
            f"To do: {status.to_do}. The next try is at {format_time(status.next_try_at)}{_by_whom(seen)};"
            f" 'wellkeeper renew {name}' tries now."
        )
    if status.state is State.NOT_SERVED and status.to_do:
        who = f"within minutes by the daemon (pid {seen.daemon_pid})" if seen.daemon_pid else "by the next renew"
        return (
            "To do: let a server block of nginx name it ('wellkeeper trust' prints the lines), and reload nginx."
            f" Whether it is served is looked at again {who}."
        )
    if status.to_do:
        who = f"the daemon (pid {seen.daemon_pid})" if seen.daemon_pid else f"'wellkeeper renew {name}'"
        # Nobody is asked here: one that it has not worked on yet may be one that it has not read yet.
        is_new = seen.daemon_pid and status.schedule is None and status.failure is None
        return f"To do now: {status.to_do}; {who} does it{_ONCE_READ if is_new else ''}."
    return f"Nothing is to be done before {format_time(status.wake_at)}{_by_whom(seen)}."


def _by_whom(seen: Overview) -> str:
    if seen.daemon_pid:
        return f", by the daemon (pid {seen.daemon_pid})"
    return ", by whatever runs 'wellkeeper renew' then (no daemon is running)"


def _distance(at: datetime, now: datetime) -> str:
    """`in 58 days`, `3 hours ago`."""
    seconds = abs((at - now).total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = int(seconds // size)
        if count >= 1:
            text = counted(count, unit)
            return f"in {text}" if at > now else f"{text} ago"
    return "now"
