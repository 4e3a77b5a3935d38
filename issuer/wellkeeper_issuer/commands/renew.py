"""renew: one idempotent pass; obtains what is missing, renews what is due, delivers what is not served yet."""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.run_needed import run_needed
from wellkeeper_issuer.commands.terminal import errors, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.commands.terminal.progress import LogFormat, progress
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.state import JOURNAL
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_node.ports import Progress


@dataclass(frozen=True, slots=True)
class Work:
    """What one run is asked to do."""

    settings: Settings
    lineages: Sequence[Lineage]
    mode: Mode
    is_staging: bool = False


@click.command()
@click.argument("names", nargs=-1, type=options.lineage_name)
@click.option("--force", is_flag=True, help="Renew even what is not due.")
@click.option("--retry", is_flag=True, help="Try at once what failed and waits for its next try; so does naming it.")
@click.option("--dry-run", is_flag=True, help="Rehearse: try a renewal without changing anything that is live.")
@options.staging_option
@options.config_option
@options.json_option
@options.log_format_option
def renew(
    names: tuple[str, ...],
    staging: bool,
    config: Path | None,
    **options_given: Any,  # noqa: ANN401
) -> None:
    """Obtain, renew and deliver the certificates NAME…, or all of them.

    A certificate that failed is tried again after a minute, then ever more rarely; until then it waits.

    Exit status: 0 all is well (or installed and not served yet), 1 one failed or waits, 2 usage or settings.
    """
    if options_given["dry_run"]:
        _dry_run(names, config, staging, options_given)
        return
    settings = options.read(config, is_staging=staging)
    is_wanted_now = bool(names) or options_given["retry"] or staging
    mode = Mode.FORCED if options_given["force"] else Mode.RETRY if is_wanted_now else Mode.SCHEDULED
    work = Work(settings, choose(settings, names), mode, is_staging=staging)
    reports = run(work, options_given["log_format"])
    is_outdated = warn_if_outdated(settings, config)
    if options_given["as_json"]:
        found = [to_json(*both) for both in zip(reports, work.lineages, strict=True)]
        print_json({"certificates": found, "is_reload_needed": is_outdated})
    else:
        click.echo("\n".join(map(to_text, reports)))  # of ten thousand, one by one takes a tenth of the run
    if any(has_failed(report) for report in reports):
        click.get_current_context().exit(1)


def _dry_run(names: tuple[str, ...], config: Path | None, is_staging: bool, options_given: dict[str, Any]) -> None:
    if is_staging or options_given["force"] or options_given["retry"]:
        raise click.UsageError(
            "--dry-run cannot be combined with --force, --retry or --staging: it orders nothing live"
        )
    from wellkeeper_issuer.commands.rehearse import rehearse_certificates

    rehearse_certificates(options.read(config), names, options_given["log_format"], as_json=options_given["as_json"])


def run(work: Work, log_format: LogFormat) -> list[Report]:
    """Return a report for each lineage, in their order."""
    return asyncio.run(_interruptible(work, log_format))


def has_failed(report: Report) -> bool:
    return report.outcome in {Outcome.FAILED, Outcome.WAITING}


async def _interruptible(work: Work, log_format: LogFormat) -> list[Report]:
    """A daemon does it when there is one. SIGTERM ends a pass as Ctrl-C does: everything is withdrawn, and the journal
    knows where to go on."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if not os.access(work.settings.state_dir / JOURNAL, os.R_OK):
        build.check_keys(work.settings)  # before anything is opened; else whoever needs the keys says so
    with progress(log_format) as reporting:
        names = [one.name for one in work.lineages]
        by_daemon = await remote.renew(work.settings, names, work.mode, reporting, is_staging=work.is_staging)
        if by_daemon is not None:
            return by_daemon
        try:
            return await _by_itself(work, reporting)
        except asyncio.CancelledError:
            reporting.note("renew", "nothing stays published; the next run goes on where this one ended")
            raise


async def _by_itself(work: Work, reporting: Progress) -> list[Report]:
    """What nothing is to be done for costs no look at it, nor the libraries that a pass needs."""
    async with build.owned_state(work.settings, "renew") as (state, _):

        async def run_passes(lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
            from wellkeeper_issuer.assembly import build_passes

            async with build_passes.passes(work.settings, state, reporting, is_staging=work.is_staging) as passes:
                return await passes.run(lineages, mode)

        return await run_needed(work.settings, state, work.lineages, work.mode, run_passes)


def to_json(report: Report, lineage: Lineage) -> dict[str, Any]:
    """The same keys for all; what is not known, since nothing was looked at or is there, is null."""
    certificate, dated = report.certificate, report.certificate or report.schedule
    return {
        "name": report.lineage,
        "outcome": report.outcome.value,
        "reason": report.reason,
        "identifiers": [str(identifier) for identifier in lineage.identifiers],
        "serial": certificate.serial if certificate else None,
        "fingerprint_sha256": certificate.fingerprint_sha256 if certificate else None,
        "issued_by": certificate.issued_by if certificate else None,
        "not_before": dated.not_before.isoformat() if dated else None,
        "not_after": dated.not_after.isoformat() if dated else None,
        "served_fingerprint_sha256": report.served_fingerprint_sha256,
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        "detail": report.detail,
        "error": errors.to_json(report.error) if report.error else None,
        "next_try_at": report.next_try_at.isoformat() if report.next_try_at else None,
    }


def to_text(report: Report) -> str:
    dated = report.certificate or report.schedule
    until = f", valid until {dated.not_after:%Y-%m-%d}" if dated else ""
    match report.outcome:
        case Outcome.FAILED:
            stage = getattr(report.error, "stage", "internal")
            return errors.to_text(f"{report.lineage}: failed ({stage})", report.error or RuntimeError(report.reason))
        case Outcome.UNCHANGED:
            return f"{report.lineage}: nothing to do{until}"
        case Outcome.WAITING:
            return f"{report.lineage}: waiting{until}; {report.reason}"
        case Outcome.SERVED:
            return f"{report.lineage}: served{until}"
        case Outcome.NOT_SERVED_YET:
            return f"{report.lineage}: installed, not served yet{until}; {report.detail}"
