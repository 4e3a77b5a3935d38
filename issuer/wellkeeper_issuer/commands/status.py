"""status: the state of all certificates, the worst first, from disk; whether nginx is reached and, with `--check`, what
is live, is looked up now.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wellkeeper_client import services
from wellkeeper_issuer.commands import status_check, status_issuers, status_json, status_nodes
from wellkeeper_issuer.commands.status_issuers import NEXT, Issuers
from wellkeeper_issuer.commands.terminal import options, ranking, screen
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import ask_daemon, is_restart_needed, warn_if_outdated
from wellkeeper_issuer.commands.terminal.ranking import Condition
from wellkeeper_issuer.commands.terminal.screen import Row
from wellkeeper_issuer.commands.terminal.table import print_table
from wellkeeper_issuer.records import Budget
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.publisher_table import PublisherSettings
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Overview, Shown
from wellkeeper_issuer.status.targets import failing, failing_heartbeat
from wellkeeper_node.wording import format_time

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus
    from wellkeeper_node.nginx.reached import Reached

_Ranked = Sequence[tuple[Condition, Shown]]

_TITLES: Final = ("STATE", "NAME", "EXPIRES", "RENEWS", "NOTE")
# One screen: more certificates are summarised in a terminal, the healthy ones first.
_SHOWN_CERTIFICATES: Final = 40
_OLD_DAEMON: Final = "The daemon is running a different version from the installed one."
# Only limits that are nearly used up are shown; --json has all.
_SHOWN_BUDGETS: Final = 10
# From this width on, a terminal has room for dates.
_WIDE: Final = 120
_COLOURS: Final = {
    Condition.FAILING: "bold red",
    Condition.EXPIRED: "bold red",
    Condition.EXPIRING: "red",
    Condition.MISSING: "yellow",
    Condition.PLACEHOLDER: "yellow",
    Condition.WAITING: "yellow",
    Condition.NOT_SERVED_YET: "yellow",
    Condition.INSTALLED: "green",
    Condition.SERVED: "green",
}


@click.command()
@options.config_option
@options.json_option
@click.option("--html", "as_html", is_flag=True, help="Print a page for browsers that needs no other file.")
@click.option("--prometheus", "as_metrics", is_flag=True, help="Print metrics, for a textfile collector.")
@click.option(
    "--check",
    "is_check",
    is_flag=True,
    help=(
        "Ask nginx by handshake; exit with 1 unless it serves every certificate, there is at least one, no node has "
        "been behind for an hour or unseen for 15 minutes, no other issuer is active or holds the engine's lease, "
        "the issuer does not wait for nodes after a restore, nothing prevents a standby that waits from taking over, "
        "the manifest for nodes has room, and no target has refused notifications for an hour."
    ),
)
@click.option("--nodes", "has_nodes", is_flag=True, help="Show the other nodes: what each has, what is behind and why.")
@click.option("--all", "has_all", is_flag=True, help="List every certificate in a terminal, however many there are.")
def status(config: Path | None, as_json: bool, as_metrics: bool, is_check: bool, **shown: bool) -> None:
    """Show the state of all certificates, the worst first, with expiry, next renewal and last failure.

    Also shows limits of CAs that are nearly used up, and whether a daemon runs.
    """
    if as_json + as_metrics + shown["as_html"] > 1:
        raise click.UsageError("--json, --prometheus and --html cannot be combined")
    settings = options.read(config, is_for_standbys=True)
    nodes, issuers = status_nodes.read_if_any(settings), status_issuers.read(settings)
    seen = asyncio.run(overview.look(settings, settings.lineages(), reads_certificates=as_json))
    is_outdated = warn_if_outdated(settings, config)
    daemon = None if as_metrics else asyncio.run(ask_daemon(settings))
    if as_json:
        found = status_json.to_json(settings, seen, nodes, daemon, is_outdated=is_outdated)
        print_json(found | (status_nodes.in_full(nodes) if shown["has_nodes"] else {}))
    elif as_metrics:
        click.echo(_metrics(settings, seen, status_nodes.present(nodes)), nl=False)
    elif shown["as_html"]:
        from wellkeeper_issuer.commands.site.overview_page import overview_page
        from wellkeeper_issuer.commands.site.view import View

        view = View(settings, seen, nodes, status_json.reached(settings), issuers, daemon, is_outdated)
        click.echo(overview_page(view, {}, is_static=True), nl=False)
    elif shown["has_nodes"]:
        status_nodes.show(nodes, issuers.warning)
    else:
        _show(seen, status_json.reached(settings), issuers, settings.publishers, has_all=shown["has_all"])
        _show_daemon(daemon, issuers, seen)
    if is_check and not status_check.report(settings, seen, nodes, issuers):
        click.get_current_context().exit(1)


def _show_daemon(daemon: Mapping[str, Any] | None, issuers: Issuers, seen: Overview) -> None:
    if lines := [*failing(seen.targets), *_failing(daemon or {}), *issuers.waiting_lines()]:
        screen.print_lines(lines)
    if is_restart_needed(daemon):
        click.echo(f"{_OLD_DAEMON} {services.sentence('restart', 'wellkeeper')}")


def _metrics(settings: Settings, seen: Overview, nodes: "Sequence[NodeStatus]") -> str:
    """Return what the disk shows, and what the daemon counted, if it answers."""
    from wellkeeper_issuer.assembly import all_metrics

    counts = asyncio.run(ask_daemon(settings, "metrics")) or {}
    return all_metrics.on_disk(settings, seen, nodes) + str(counts.get("text", ""))


def _show(
    seen: Overview, nginx: "Reached | None", issuers: Issuers, publishers: Sequence[PublisherSettings], *, has_all: bool
) -> None:
    ranked = ranking.worst_first(seen)
    if ranked:
        screen.print_lines([ranking.summary(condition for condition, _ in ranked)])
        shown, others = _split(ranked, has_all=has_all or not screen.is_terminal())
        print_table(_TITLES, [_row(*one, seen) for one in shown], name_column=1, cuts_last=True)
        if others:
            screen.print_lines([_summarised(others)])
    screen.print_lines(list(issuers.after(_last_lines(seen, ranked, nginx, publishers))))


def _failing(daemon: Mapping[str, Any]) -> Iterator[str]:
    """Yield what failed in the daily checks of the daemon with this status, its heartbeat, and its endpoint."""
    if problem := daemon.get("endpoint_problem"):
        yield f"daemon: {problem}"
    yield from failing_heartbeat(daemon)
    found = daemon.get("findings", ())
    for one in found:
        yield f"doctor: {one['subject']}: {one['cause']}" if one["subject"] else f"doctor: {one['cause']}"
    if found:
        at = format_time(datetime.fromisoformat(daemon["checked_at"]))
        yield f"Run 'sudo wellkeeper doctor' to see how to fix it (last checked at {at})."


def _split(ranked: _Ranked, *, has_all: bool) -> tuple[_Ranked, _Ranked]:
    """Return the certificates to list and the others."""
    if has_all or len(ranked) <= _SHOWN_CERTIFICATES:
        return ranked, ()
    unhealthy = sum(condition is not Condition.SERVED for condition, _ in ranked)
    end = min(unhealthy, _SHOWN_CERTIFICATES)
    return ranked[:end], ranked[end:]


def _summarised(others: _Ranked) -> str:
    conditions = [condition for condition, _ in others]
    what = "all served" if set(conditions) == {Condition.SERVED} else ranking.count(conditions)
    return f"… and {len(others)} more, {what}; --all lists them"


def _row(condition: Condition, one: Shown, seen: Overview) -> Row:
    is_dated = not screen.is_terminal() or screen.width() >= _WIDE
    cells = (
        condition.value,
        one.lineage.name,
        ranking.expiry(one, seen, is_dated=is_dated),
        ranking.renewal(one, seen, is_dated=is_dated),
        ranking.note(one, seen),
    )
    return Row(cells, _COLOURS[condition])


def _last_lines(
    seen: Overview, ranked: _Ranked, nginx: "Reached | None", publishers: Sequence[PublisherSettings]
) -> Iterator[str]:
    for ca, budget in _nearly_used_up(seen.budgets):
        yield _budget(ca, budget)
    if not ranked:
        yield "no certificates are configured"
    if publishers:
        yield f"publishers: {', '.join(one.name for one in publishers)}"
    if nginx is not None:
        yield str(nginx)
    yield f"daemon: running, pid {seen.daemon_pid}" if seen.daemon_pid else "daemon: not running"
    if command := _next(seen, ranked):
        yield f"{NEXT}{command}"


def _next(seen: Overview, ranked: _Ranked) -> str:
    """Return the one command to run next; "" when nothing needs a person."""
    if not ranked:
        return "sudo wellkeeper certificate add NAME"
    for condition, one in ranked:
        if condition is Condition.FAILING or one.status.state is State.NOT_SERVED:
            return f"sudo wellkeeper why {one.lineage.name}"
    is_due = any(
        not one.status.is_quiet and not (condition is Condition.SERVED and one.status.is_routine)
        for condition, one in ranked
    )
    return "sudo wellkeeper renew" if is_due and seen.daemon_pid is None else ""


def _nearly_used_up(budgets: Sequence[tuple[str, Budget]]) -> list[tuple[str, Budget]]:
    return [(ca, one) for ca, one in budgets if one.left * 2 <= one.limit.count][:_SHOWN_BUDGETS]


def _budget(ca: str, budget: Budget) -> str:
    limit = budget.limit
    about = f" {budget.value}" if budget.value else ""
    free_at = f", one more from {format_time(budget.free_at)} on" if budget.free_at else ""
    return f"{ca}: {budget.left} of {limit.count} left ({limit.spent} per {limit.scope}{about}){free_at}"
