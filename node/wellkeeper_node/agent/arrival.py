"""Wait until an agent that has just started has tried its first certificates."""

from datetime import datetime
from typing import Final

from wellkeeper_node.agent.report import CertificateState
from wellkeeper_node.agent.shown import Shown, StatusFile
from wellkeeper_node.ports import Clock

_PAUSE_SECONDS: Final = 0.1


async def has_arrived_within(status: StatusFile, since: datetime, seconds: float, clock: Clock) -> bool:
    """Return whether the agent reports after `since` that it has tried all certificates; wait for that this long.

    Then it replaces no certificate while a person tests nginx. Raises FleetError.
    """
    ends_at = clock.monotonic() + seconds
    while not _is_after(await status.read(), since):
        if clock.monotonic() >= ends_at:
            return False
        await clock.sleep(_PAUSE_SECONDS)
    return True


def _is_after(shown: Shown | None, since: datetime) -> bool:
    if shown is None or shown.report.clock < since.timestamp():
        return False
    found = shown.report.certificates.values()
    return bool(found) and all(one.state is not CertificateState.WAITING for one in found)
