"""Limit the connections of each listener, and choose the one that makes room for a new one.

A full listener closes a connection that has sent no valid signature, idle ones first, then one that has and is idle;
among equals one of the peer that holds the most, the one without a request for longest. A new connection is refused
only when all others carry signed requests under way.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

MAX_PUBLIC_CONNECTIONS: Final = 1024
MAX_CONTROL_CONNECTIONS: Final = 64
# So many connections are accepted before the event loop handles those that were accepted.
ACCEPTED_AT_ONCE: Final = 8

# Standard streams, the event loop, modules being loaded.
_OWN_FILES: Final = 16
# A listener's socket, and what it has accepted and not closed yet: three turns of the event loop.
_FILES_PER_LISTENER: Final = 3 * ACCEPTED_AT_ONCE
_FEWEST_PUBLIC: Final = 8
_FEWEST_CONTROL: Final = 4


class Held(Protocol):
    """A connection as its listener's capacity sees it."""

    peer: str
    is_signed: bool

    @property
    def is_handling(self) -> bool:
        """True while a request is under way."""

    @property
    def is_idle(self) -> bool:
        """True when no request is under way, nor was a moment ago."""

    def drop(self) -> None:
        """End at once, whatever is under way."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections per listener, for each kind of listener."""

    public: int = MAX_PUBLIC_CONNECTIONS
    control: int = MAX_CONTROL_CONNECTIONS


class Capacity:
    """The connections of one listener, the one without a request for longest first."""

    def __init__(
        self, maximum: int, refused: Callable[[], None], closed: Callable[[], None], *, per_peer: int | None = None
    ) -> None:
        """`refused` and `closed` are called for each connection that is; `per_peer` limits those of one peer."""
        self._maximum = maximum
        self._per_peer = per_peer or maximum
        self._refused = refused
        self._closed = closed
        self._held: dict[Held, None] = {}
        self._by_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def admit(self, connection: Held) -> bool:
        """Make room if necessary; return whether there was any."""
        peer = connection.peer if self._by_peer[connection.peer] >= self._per_peer else None
        if (peer is not None or len(self._held) >= self._maximum) and not self._make_room(peer):
            self._refused()
            return False
        self._held[connection] = None
        self._by_peer[connection.peer] += 1
        return True

    def leave(self, connection: Held) -> None:
        """Forget the connection; idempotent."""
        if connection in self._held:
            del self._held[connection]
            self._by_peer[connection.peer] -= 1
            if not self._by_peer[connection.peer]:
                del self._by_peer[connection.peer]

    def note_request(self, connection: Held) -> None:
        """Let the connection be the last to make room among its equals."""
        if connection in self._held:
            del self._held[connection]
            self._held[connection] = None

    def _make_room(self, peer: str | None) -> bool:
        candidates = (one for one in self._held if peer in {None, one.peer} and not (one.is_signed and one.is_handling))
        chosen = min(
            candidates, key=lambda one: (one.is_signed, not one.is_idle, -self._by_peer[one.peer]), default=None
        )
        if chosen is None:
            return False
        self.leave(chosen)
        self._closed()
        chosen.drop()
        return True


def wanted_files(public: int, control: int) -> int:
    """Return how many files must be open at once for so many listeners with full limits."""
    return public * MAX_PUBLIC_CONNECTIONS + control * MAX_CONTROL_CONNECTIONS + _reserved_files(public + control)


def limits_for(open_files: int, public: int, control: int) -> Limits:
    """Return the limits of so many listeners in a process that may open `open_files`; control gets its share first."""
    room = open_files - _reserved_files(public + control)
    per_control = max(_FEWEST_CONTROL, min(MAX_CONTROL_CONNECTIONS, room // (4 * control)))
    per_public = max(_FEWEST_PUBLIC, min(MAX_PUBLIC_CONNECTIONS, (room - control * per_control) // public))
    return Limits(per_public, per_control)


def _reserved_files(listeners: int) -> int:
    return _OWN_FILES + listeners * _FILES_PER_LISTENER
