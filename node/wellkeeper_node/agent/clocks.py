"""Compare the clock of this node with those of its relays. Pure.

Nothing depends on a relay's clock: it only helps a person to find out why tokens or certificates are refused here.
"""

from collections.abc import Iterable
from typing import Final

# As in the issuer's `status --nodes`; a report takes less time than that.
_TOLERANCE_SECONDS: Final = 60.0


def nearest(ahead_seconds: Iterable[float | None]) -> float | None:
    """Return the smallest difference, since the clock of a relay may be wrong, too; None if none is known."""
    return min((one for one in ahead_seconds if one is not None), key=abs, default=None)


def concern_about(ahead_seconds: float | None) -> str | None:
    """Return a sentence about a clock that differs by this; None if it is good enough, or nothing is known."""
    if ahead_seconds is None or abs(ahead_seconds) <= _TOLERANCE_SECONDS:
        return None
    where = "ahead of" if ahead_seconds > 0 else "behind"
    return f"the clock of this node is {abs(ahead_seconds):.0f} s {where} the relay's; synchronize the clocks by NTP"
