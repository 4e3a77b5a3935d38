"""The vacancy of a lease: how long no issuer has had it, as far as an engine that always answered has said."""

from typing import Final

from wellkeeper_issuer.fleet.lease import SECONDS
from wellkeeper_node.ports import Clock

# An issuer that works has the lease without a break, so a longer gap between two looks proves nothing.
_GAP_SECONDS: Final = float(SECONDS)


class Vacancy:
    """`note` is called with the result of each look, `end` after one that failed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._looked_at = 0.0

    def note(self, *, is_free: bool) -> float:
        """Return for how many seconds the lease has been free at every look; 0 while it is not."""
        now = self._clock.monotonic()
        if not is_free or now - self._looked_at > _GAP_SECONDS:
            self._since = None
        self._looked_at = now
        if not is_free:
            return 0.0
        self._since = now if self._since is None else self._since
        return now - self._since

    def end(self) -> None:
        """Begin again with the next look."""
        self._since = None
