"""status: what is installed, until when, when it is renewed, and what is left to do. Asks nobody."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.records import Budget
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.metrics import to_prometheus
from wellkeeper_issuer.status.overview import Overview, Shown
from wellkeeper_node.wording import format_exact_time, format_time, times_in_a_row

# Of the limits of CAs, text shows what is nearly used up; --json has all.
_SHOWN_BUDGETS: Final = 10


@click.command()
@options.config_option
@options.json_option
@click.option("--prometheus", "as_metrics", is_flag=True, help="Print metrics, for a textfile collector.")
@click.option(
    "--check",
    "is_check",
    is_flag=True,
    help="Exit with 1 unless every certificate is served and there is at least one; for monitoring.",
)
def status(config: Path | None, as_json: bool, as_metrics: bool, is_check: bool) -> None:
    """Show each certificate: state, dates, next renewal, last failure; what CAs allow; whether a daemon runs."""
    if as_json and as_metrics:
        raise click.UsageError("--json and --prometheus are two forms of the same: give one of them")
    settings = options.read(config)
    seen = asyncio.run(overview.look(settings, settings.lineages(), reads_certificates=as_json))
    is_outdated = warn_if_outdated(settings, config)
    if as_json:
        print_json(_to_json(seen) | {"is_reload_needed": is_outdated})
    elif as_metrics:
        click.echo(to_prometheus(seen), nl=False)
    else:
        _show(seen)
    if is_check and not _is_served(seen):
        click.get_current_context().exit(1)


def _is_served(seen: Overview) -> bool:
    """Return false, too, when nothing is configured: monitoring then watches the wrong settings."""
    return bool(seen.shown) and all(one.status.state is State.SERVED for one in seen.shown)


def _to_json(seen: Overview) -> dict[str, object]:
    return {
        "certificates": [overview.to_json(one, seen.rows) for one in seen.shown],
        "daemon": {"pid": seen.daemon_pid} if seen.daemon_pid else None,
        "limits": [overview.budget_to_json(ca, budget) for ca, budget in seen.budgets],
    }


def _show(seen: Overview) -> None:
    lines = [_line(one, has_daemon=seen.daemon_pid is not None) for one in seen.shown]
    lines += [_budget(ca, budget) for ca, budget in _nearly_used_up(seen.budgets)]
    if not seen.shown:
        lines.append("the settings name no certificate; 'wellkeeper certificate add' adds one")
    lines.append(f"daemon: running, pid {seen.daemon_pid}" if seen.daemon_pid else "daemon: not running")
    click.echo("\n".join(lines))


def _line(one: Shown, *, has_daemon: bool) -> str:
    status = one.status
    is_for_others = has_daemon or status.is_waiting
    text = f"{status.lineage}: {status.state.words if is_for_others else status.state.advice}"
    if one.not_after:
        text += f", valid until {one.not_after:%Y-%m-%d}"
    if one.renew_at:
        text += f", renewed from {one.renew_at:%Y-%m-%d}"
    if status.failure is not None:
        failure = status.failure
        text += f"; failed {times_in_a_row(failure.count)} ({failure.stage})"
        if status.is_waiting and status.next_try_at is not None:
            text += f", next try at {format_exact_time(status.next_try_at)}"
    elif status.next_try_at is not None:
        text += f"; it has to wait until {format_exact_time(status.next_try_at)}"
    is_rehearsal_told = one.rehearsal is not None and not one.rehearsal.is_well
    if one.rehearsal is not None and is_rehearsal_told:
        text += f"; the rehearsal of {one.rehearsal.at:%Y-%m-%d} failed"
    if status.failure is not None or status.is_waiting or is_rehearsal_told:
        text += f"; 'wellkeeper why {status.lineage}' says more"
    return text


def _nearly_used_up(budgets: Sequence[tuple[str, Budget]]) -> list[tuple[str, Budget]]:
    return [(ca, one) for ca, one in budgets if one.left * 2 <= one.limit.count][:_SHOWN_BUDGETS]


def _budget(ca: str, budget: Budget) -> str:
    limit = budget.limit
    about = f" {budget.value}" if budget.value else ""
    next_one = f", the next one comes back at {format_time(budget.free_at)}" if budget.free_at else ""
    return f"{ca}: {budget.left} of {limit.count} left ({limit.spent} per {limit.scope}{about}){next_one}"
