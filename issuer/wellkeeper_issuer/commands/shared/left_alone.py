"""Reports on certificates that a pass would leave as they are, without looking at any of them."""

from collections.abc import Sequence

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.clock import SystemClock
from wellkeeper_issuer.outside.live import LiveFolder
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.reports import Outcome, Report, waiting
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.upkeep.standing import Standing, read_rows, standings


async def left_alone(settings: Settings, lineages: Sequence[Lineage], state: State) -> dict[str, Report]:
    """By lineage; the others have to be looked at. Raises JournalError."""
    rows = await read_rows(state)
    versions = await LiveFolder(settings.certificates_dir).versions()
    found = standings(lineages, versions, rows, SystemClock().now())
    return {one.lineage: _report(one) for one in found if one.is_quiet}


def _report(standing: Standing) -> Report:
    if not standing.is_waiting:
        return Report(standing.lineage, Outcome.UNCHANGED, "not due", schedule=standing.schedule)
    until = f"{standing.next_try_at:%Y-%m-%d %H:%M:%S} UTC" if standing.next_try_at else ""
    return Report(
        lineage=standing.lineage,
        outcome=Outcome.WAITING,
        reason=waiting(standing.failure) if standing.failure else f"{standing.to_do}; not before {until}",
        next_try_at=standing.next_try_at,
        schedule=standing.schedule,
    )
