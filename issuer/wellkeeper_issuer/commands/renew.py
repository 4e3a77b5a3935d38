"""renew: one idempotent pass that obtains, renews and delivers certificates."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from wellkeeper_issuer.commands.terminal import interrupts, options, outdated, results, screen
from wellkeeper_issuer.commands.terminal.brief import brief_progress
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.commands.terminal.progress import LogFormat
from wellkeeper_issuer.commands.terminal.tally import Tally
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.service import handover


@click.command()
@options.names_argument
@click.option("--force", is_flag=True, help="Renew even certificates that are not due.")
@click.option("--retry", is_flag=True, help="Retry failed certificates now; naming one also retries it.")
@click.option("--dry-run", is_flag=True, help="Rehearse: try a renewal without changing anything that is live.")
@click.option(
    "--without",
    metavar="NODE",
    multiple=True,
    help="Ask the CA although this node, which is away for longer, does not answer; repeatable.",
)
@options.staging_option
@options.config_option
@options.json_option
@options.log_format_option
@options.verbose_option
@options.quiet_option
def renew(
    names: tuple[str, ...],
    without: tuple[str, ...],
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
    is_wanted_now = bool(names) or options_given["retry"] or staging or bool(without)
    mode = Mode.FORCED if options_given["force"] else Mode.RETRY if is_wanted_now else Mode.SCHEDULED
    if mode is Mode.FORCED:
        _record_request(names, config)
    verbosity = options.verbosity(is_verbose=options_given["is_verbose"], is_quiet=options_given["is_quiet"])
    is_json, log_format = options_given["as_json"], options_given["log_format"]
    run = _Run(names, config, mode, frozenset(without), log_format=log_format, verbosity=verbosity)
    # A result in JSON, another CA, and nodes need the settings.
    if staging or without or is_json or (reports := _hand_over(run)) is None:
        reports = _read_settings_and_renew(run, is_staging=staging, is_json=is_json)
    if not is_json and (lines := list(results.to_lines(reports, verbosity))):
        screen.print_lines(lines)
    if any(report.outcome in results.UNSUCCESSFUL for report in reports):
        click.get_current_context().exit(1)


@dataclass(frozen=True, slots=True)
class _Run:
    """The arguments of the command."""

    names: Sequence[str]
    config: Path | None
    mode: Mode
    without: frozenset[str]
    log_format: LogFormat
    verbosity: Verbosity


def _record_request(names: Sequence[str], config: Path | None) -> None:
    """Record who asked; settings that cannot be read do not keep the daemon from renewing."""
    from wellkeeper_issuer.assembly import build
    from wellkeeper_node.happened import Happened, What

    with suppress(SettingsError):
        history = build.history(options.read(config).state_dir)
        history.add(*(Happened(What.CERTIFICATE_REQUESTED, name) for name in names or ("all",)))


def _hand_over(run: _Run) -> list[Report] | None:
    """Return the reports of the daemon; None when there is none to ask, or it does not know what is asked for."""
    tally = Tally(len(run.names) or None)
    with brief_progress(run.log_format, run.verbosity, tally, has_json_result=False) as reporting:
        try:
            with interrupts.terminable():
                handed = handover.renew(settings_path(run.config), run.names, run.mode, reporting)
        except (KeyboardInterrupt, interrupts.Terminated):
            reporting.note("daemon", "continues in the background; 'wellkeeper status' shows the result")
            raise
    if handed and handed.is_reload_needed:
        outdated.warn()
    return handed.reports if handed else None


def _read_settings_and_renew(run: _Run, *, is_staging: bool, is_json: bool) -> list[Report]:
    from wellkeeper_issuer.commands import one_shot
    from wellkeeper_issuer.settings.choice import choose

    settings = options.read(run.config, is_staging=is_staging)
    lineages = [replace(one, without_nodes=run.without) for one in choose(settings, run.names)]
    work = one_shot.Work(settings, lineages, run.mode, is_staging, run.log_format, run.verbosity, is_json)
    reports = one_shot.run(work)
    is_outdated = outdated.warn_if_outdated(settings, run.config)
    if is_json:
        found = [one_shot.to_json(*both) for both in zip(reports, work.lineages, strict=True)]
        print_json({"certificates": found, "is_reload_needed": is_outdated})
    return reports


def _dry_run(names: tuple[str, ...], config: Path | None, is_staging: bool, options_given: dict[str, Any]) -> None:
    if is_staging or options_given["force"] or options_given["retry"]:
        raise click.UsageError(
            "--dry-run cannot be combined with --force, --retry or --staging: it orders nothing live"
        )
    from wellkeeper_issuer.commands.rehearse import rehearse_certificates

    rehearse_certificates(config, names, options_given["log_format"], as_json=options_given["as_json"])
