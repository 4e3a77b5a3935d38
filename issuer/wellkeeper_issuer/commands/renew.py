"""renew: one idempotent pass that obtains, renews and delivers certificates."""

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
from wellkeeper_issuer.commands.terminal import errors, options, results, screen
from wellkeeper_issuer.commands.terminal.brief import Tally, brief_progress
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.commands.terminal.outdated import warn_if_outdated
from wellkeeper_issuer.commands.terminal.progress import LogFormat
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.state import JOURNAL
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_node.ports import Progress


@dataclass(frozen=True, slots=True)
class Work:
    """One run: the certificates to renew, and how it is shown."""

    settings: Settings
    lineages: Sequence[Lineage]
    mode: Mode
    is_staging: bool = False
    log_format: LogFormat = "auto"
    verbosity: Verbosity = Verbosity.BRIEF
    is_json: bool = False


@click.command()
@options.names_argument
@click.option("--force", is_flag=True, help="Renew even certificates that are not due.")
@click.option("--retry", is_flag=True, help="Retry failed certificates now; naming one does so, too.")
@click.option("--dry-run", is_flag=True, help="Rehearse: try a renewal without changing anything that is live.")
@options.staging_option
@options.config_option
@options.json_option
@options.log_format_option
@options.verbose_option
@options.quiet_option
def renew(
    names: tuple[str, ...],
    staging: bool,
    config: Path | None,
    **options_given: Any,  # noqa: ANN401
) -> None:
    """Obtain, renew and deliver the certificates NAME…, or all of them.

    A failed certificate waits for its next try: after a minute, then less and less often.

    Exit status: 0 success (or installed and not served yet), 1 one failed or waits, 2 usage or settings.
    """
    if options_given["dry_run"]:
        _dry_run(names, config, staging, options_given)
        return
    settings = options.read(config, is_staging=staging)
    is_wanted_now = bool(names) or options_given["retry"] or staging
    mode = Mode.FORCED if options_given["force"] else Mode.RETRY if is_wanted_now else Mode.SCHEDULED
    verbosity = options.verbosity(is_verbose=options_given["is_verbose"], is_quiet=options_given["is_quiet"])
    is_json, log_format = options_given["as_json"], options_given["log_format"]
    work = Work(settings, choose(settings, names), mode, staging, log_format, verbosity, is_json)
    reports = run(work)
    is_outdated = warn_if_outdated(settings, config)
    if is_json:
        found = [to_json(*both) for both in zip(reports, work.lineages, strict=True)]
        print_json({"certificates": found, "is_reload_needed": is_outdated})
    elif lines := list(results.to_lines(reports, verbosity)):
        screen.print_lines(lines)
    if any(report.outcome in results.UNSUCCESSFUL for report in reports):
        click.get_current_context().exit(1)


def _dry_run(names: tuple[str, ...], config: Path | None, is_staging: bool, options_given: dict[str, Any]) -> None:
    if is_staging or options_given["force"] or options_given["retry"]:
        raise click.UsageError(
            "--dry-run cannot be combined with --force, --retry or --staging: it orders nothing live"
        )
    from wellkeeper_issuer.commands.rehearse import rehearse_certificates

    rehearse_certificates(config, names, options_given["log_format"], as_json=options_given["as_json"])


def run(work: Work) -> list[Report]:
    """Return a report for each lineage, in their order."""
    return asyncio.run(_interruptible(work))


async def _interruptible(work: Work) -> list[Report]:
    """Let the daemon do the work if one runs. SIGTERM ends a pass as Ctrl-C does: all tokens are withdrawn, and the
    next pass continues."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if not os.access(work.settings.state_dir / JOURNAL, os.R_OK):
        build.check_keys(work.settings)
    tally = Tally(None if work.mode is Mode.SCHEDULED else len(work.lineages))
    with brief_progress(work.log_format, work.verbosity, tally, has_json_result=work.is_json) as reporting:
        names = [one.name for one in work.lineages]
        by_daemon = await remote.renew(work.settings, names, work.mode, reporting, is_staging=work.is_staging)
        if by_daemon is not None:
            return by_daemon
        try:
            return await _by_itself(work, reporting, tally)
        except asyncio.CancelledError:
            reporting.note("renew", "interrupted: all tokens are withdrawn; the next run continues here")
            raise


async def _by_itself(work: Work, reporting: Progress, tally: Tally) -> list[Report]:
    """Run a pass in this process; without anything to do it loads no heavy library and reads no certificate."""
    async with build.owned_state(work.settings, "renew") as (state, _):

        async def run_passes(lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
            from wellkeeper_issuer.assembly import build_passes

            tally.total = len(lineages)
            async with build_passes.passes(work.settings, state, reporting, is_staging=work.is_staging) as passes:
                return await passes.run(lineages, mode)

        return await run_needed(work.settings, state, work.lineages, work.mode, run_passes)


def to_json(report: Report, lineage: Lineage) -> dict[str, Any]:
    """Return the same keys for all reports; unknown values are null."""
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
