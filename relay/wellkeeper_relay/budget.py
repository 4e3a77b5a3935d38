"""Limit how often something may happen, on average and at once (a token bucket)."""

from collections.abc import Callable


class Budget:
    """Allows `per_second` on average and twice as many at once; `monotonic` returns seconds."""

    def __init__(self, per_second: float, monotonic: Callable[[], float]) -> None:
        self._per_second = per_second
        self._monotonic = monotonic
        self._left = 2 * per_second
        self._at = monotonic()

    def take(self) -> bool:
        """Return whether it may happen now, and count it."""
        now = self._monotonic()
        self._left = min(2 * self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
