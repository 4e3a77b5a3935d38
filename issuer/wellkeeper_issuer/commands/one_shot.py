"""Run one pass: by the daemon if one runs, else in this process."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from wellkeeper_issuer.assembly import build, fleets
from wellkeeper_issuer.assembly.notifications import send_waiting
from wellkeeper_issuer.assembly.run_needed import run_needed
from wellkeeper_issuer.commands.terminal import errors, interrupts
from wellkeeper_issuer.commands.terminal.brief import brief_progress
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.commands.terminal.progress import LogFormat
from wellkeeper_issuer.commands.terminal.tally import Tally
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.state import JOURNAL
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.ports import Progress

# After a restore: a node reports each minute.
_CATCH_UP_SECONDS: Final = 75.0


@dataclass(frozen=True, slots=True)
class Work:
    """One run: the certificates to renew, all without the same nodes, and how it is shown."""

    settings: Settings
    lineages: Sequence[Lineage]
    mode: Mode
    is_staging: bool = False
    log_format: LogFormat = "auto"
    verbosity: Verbosity = Verbosity.BRIEF
    is_json: bool = False


def run(work: Work) -> list[Report]:
    """Return a report for each lineage, in their order.

    SIGTERM ends a pass as Ctrl-C does: all tokens are withdrawn, and the next pass continues. Raises Terminated then.
    """
    return interrupts.run(run_now(work))


async def run_now(work: Work) -> list[Report]:
    """Return what `run` does."""
    if not os.access(work.settings.state_dir / JOURNAL, os.R_OK):
        build.check_keys(work.settings)
    tally = Tally(None if work.mode is Mode.SCHEDULED else len(work.lineages))
    with brief_progress(work.log_format, work.verbosity, tally, has_json_result=work.is_json) as reporting:
        names = [one.name for one in work.lineages]
        without = frozenset[str]().union(*(one.without_nodes for one in work.lineages))
        by_daemon = await remote.renew(
            work.settings, names, work.mode, reporting, is_staging=work.is_staging, without=without
        )
        if by_daemon is not None:
            return by_daemon
        try:
            return await _by_itself(work, reporting, tally)
        except asyncio.CancelledError:
            reporting.note("renew", "interrupted: all tokens are withdrawn; the next run continues here")
            raise


async def _by_itself(work: Work, reporting: Progress, tally: Tally) -> list[Report]:
    """Run a pass in this process; without anything to do it loads no heavy library and reads no certificate."""
    async with (
        build.owned_state(work.settings, "renew") as (state, _),
        fleets.fleet(work.settings, state, is_daemon=False) as fleet,
    ):
        fleets.check_without(fleet, work.lineages)
        if fleet is not None:
            await fleet.restored.until_over(SystemClock(), _CATCH_UP_SECONDS)
        await build.apply_file_access(work.settings)

        async def run_passes(lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
            from wellkeeper_issuer.assembly import build_passes

            tally.total = len(lineages)
            async with build_passes.passes(
                work.settings, state, reporting, fleet, is_staging=work.is_staging
            ) as passes:
                return await passes.run(lineages, mode)

        reports = await run_needed(work.settings, state, work.lineages, work.mode, run_passes)
        await send_waiting(work.settings, state.outbox)
        return reports


def to_json(report: Report, lineage: Lineage) -> dict[str, Any]:
    """Return the same keys for all reports; unknown values are null."""
    certificate, dated = report.certificate, report.certificate or report.schedule
    return {
        "name": report.lineage,
        "outcome": report.outcome.name.lower(),
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
