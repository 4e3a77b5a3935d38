"""Keep the last heartbeat of each issuer that feeds the fleet: there should be one."""

from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.heartbeats import SILENT_SECONDS, read_heartbeat
from wellkeeper_node.ports import Clock

# A hostile holder of the fleet key must not fill reports.
_MOST = 4


class HeardIssuers:
    """The heartbeats of all relays; `notify` is called when another issuer is heard."""

    def __init__(self, fleet_keys: Mapping[str, Ed25519PublicKey], clock: Clock, notify: Callable[[], None]) -> None:
        self._fleet_keys = fleet_keys
        self._clock = clock
        self._notify = notify
        # By the issuer's id: when it was sent, when it was heard by the monotonic clock, and the message.
        self._heard: dict[str, tuple[int, float, str]] = {}

    def take(self, message: bytes) -> bool:
        """Keep a heartbeat that nothing has checked; return whether it is a new one. Never raises."""
        try:
            beat = read_heartbeat(message, self._fleet_keys, self._clock.now().timestamp())
        except MessageError:
            return False  # it expired, or a relay made it up
        known = self._heard.get(beat.issuer.id)
        if known is not None and beat.at <= known[0]:
            return False
        self._forget_silent()
        if beat.issuer.id in self._heard or len(self._heard) < _MOST:
            self._heard[beat.issuer.id] = beat.at, self._clock.monotonic(), message.decode("ascii")
        if known is None:
            self._notify()
        return True

    @property
    def heartbeats(self) -> tuple[str, ...]:
        """The last messages of the issuers that were heard in the last minutes."""
        self._forget_silent()
        return tuple(message for _, _, message in self._heard.values())

    def _forget_silent(self) -> None:
        since = self._clock.monotonic() - SILENT_SECONDS
        self._heard = {name: one for name, one in self._heard.items() if one[1] >= since}
