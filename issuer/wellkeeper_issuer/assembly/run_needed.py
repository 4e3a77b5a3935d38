"""Report on certificates that a pass would leave as they are, without reading any of them."""

from collections.abc import Awaitable, Callable, Sequence

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.reports import Mode, Outcome, Report, waiting
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status.certificate_status import CertificateStatus, read_rows, statuses
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.wording import format_exact_time


async def run_needed(
    settings: Settings,
    state: State,
    lineages: Sequence[Lineage],
    mode: Mode,
    run: Callable[[Sequence[Lineage], Mode], Awaitable[Sequence[Report]]],
) -> list[Report]:
    """Run the certificates with something to do, and report on all in the order given; other modes run all.

    `run` is not called when there is nothing to do. Raises JournalError, and what `run` raises.
    """
    reports = await _left_alone(settings, lineages, state) if mode is Mode.SCHEDULED else {}
    others = [lineage for lineage in lineages if lineage.name not in reports]
    if others:
        reports |= {report.lineage: report for report in await run(others, mode)}
    return [reports[lineage.name] for lineage in lineages]


async def _left_alone(settings: Settings, lineages: Sequence[Lineage], state: State) -> dict[str, Report]:
    """Return reports on the quiet certificates, by lineage; the others have to be run. Raises JournalError."""
    rows = await read_rows(state)
    versions = await LiveFolder(settings.certificates_dir).versions()
    found = statuses(lineages, versions, rows, SystemClock().now())
    return {one.lineage: _report(one) for one in found if one.is_quiet}


def _report(status: CertificateStatus) -> Report:
    if not status.is_waiting:
        return Report(status.lineage, Outcome.UNCHANGED, "not due", schedule=status.schedule)
    until = format_exact_time(status.next_try_at) if status.next_try_at else ""
    return Report(
        lineage=status.lineage,
        outcome=Outcome.WAITING,
        reason=waiting(status.failure) if status.failure else f"{status.to_do}; not before {until}",
        next_try_at=status.next_try_at,
        schedule=status.schedule,
    )
