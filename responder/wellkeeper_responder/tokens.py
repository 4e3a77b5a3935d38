"""Publish tokens, answer and withdraw them: in memory, bounded, on the monotonic clock.

A `jti` is used once: it is active, then ended (withdrawn, replaced, expired), and forgotten when no message with it
could be accepted any more. Nothing is evicted to make room: a full responder refuses new publications.
"""

import heapq
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final

from wellkeeper_client import wire
from wellkeeper_client.publishers import Publisher
from wellkeeper_client.signing import Publication, Withdrawal
from wellkeeper_client.wire import WireError
from wellkeeper_responder.clock import Clock
from wellkeeper_responder.pins import ISSUER, Pins

# An ended jti is remembered for at most 80 minutes, in which everything may be published eight times.
KNOWN_PER_TOKEN: Final = 8


@dataclass(frozen=True, slots=True)
class Published:
    """The result of `publish`. `is_new` is false when the same publication was already active; it is not prolonged."""

    is_new: bool
    expires_in_seconds: float


# Deadline, and all but the token of a publication. Plain tuples of plain values: the garbage collector stops tracking
# those, so that a full collection with 100 000 tokens takes 4 ms instead of 60.
_HeldToken = tuple[float, str, str, str, int, int, str]


def _held_token(deadline: float, publication: Publication, publisher: str) -> _HeldToken:
    one = publication
    return (deadline, one.jti, one.thumbprint, one.identifier, one.issued_at, one.expires_at, publisher)


class Tokens:
    """The active publications, and the `jti`s that must not be used again."""

    def __init__(
        self,
        clock: Clock,
        thumbprints: Container[str],
        max_tokens: int,
        max_lifetime_seconds: int = wire.MAX_LIFETIME_SECONDS,
    ) -> None:
        self._clock = clock
        self._pins = Pins(thumbprints)
        self._max_tokens = max_tokens
        self._max_lifetime_seconds = max_lifetime_seconds
        self._held: dict[str, _HeldToken] = {}
        # jti → the token it was published for, None when only its withdrawal was seen.
        self._known: dict[str, str | None] = {}
        # Of those, the ones that a publisher made known, and their number by publisher.
        self._publisher_of: dict[str, str] = {}
        self._known_by: Counter[str] = Counter()
        # Each jti is pushed once to each heap, so the heaps are not larger than `_known`. A jti that ended before its
        # deadline stays in the heap until then and is skipped.
        self._deadlines: list[tuple[float, str]] = []
        self._forget_at: list[tuple[float, str]] = []

    def pin(self, thumbprints: Container[str], publishers: Iterable[Publisher] = ()) -> None:
        """Answer for these accounts instead, from the next request on."""
        self._pins = Pins(thumbprints, publishers)

    def __len__(self) -> int:
        """Return the number of active publications."""
        self._forget()
        return len(self._held)

    @property
    def known_count(self) -> int:
        """Return the number of remembered `jti`s, including the active ones."""
        self._forget()
        return len(self._known)

    def count_of(self, publisher: str) -> int:
        """Return the number of active publications of a publisher."""
        self._forget()
        return sum(held[-1] == publisher for held in self._held.values())

    def publish(self, publication: Publication, publisher: str = ISSUER) -> Published:
        """Publish a token. Another publication of the same token is replaced, and its `jti` ends. Idempotent.

        A publisher replaces only its own. Raises WireError: 403 not pinned or not allowed, 400 lifetime, 409 already
        ended, `jti` reused or held by another, 507 full.
        """
        self._forget()
        self._check_allowed(publication, publisher)
        if publication.jti in self._known:
            return self._published_again(publication, publisher)
        self._check_holder(publication.token, publisher)
        if publication.token not in self._held and len(self._held) >= self._max_tokens:
            raise WireError(507, "full", f"{self._max_tokens} tokens are already published (--max-tokens)")
        lifetime = publication.lifetime_seconds
        self._learn(publication.jti, publication.token, lifetime, publisher)
        deadline = self._clock.monotonic() + lifetime
        self._held[publication.token] = _held_token(deadline, publication, publisher)
        heapq.heappush(self._deadlines, (deadline, publication.jti))
        return Published(is_new=True, expires_in_seconds=lifetime)

    def withdraw(self, withdrawal: Withdrawal, publisher: str = ISSUER) -> bool:
        """End only this `jti`, and return true if it was active. An unknown `jti` is remembered as ended.

        Idempotent. Raises WireError 507 when there is no room to remember it, 403 if another's key published it.
        """
        self._forget()
        if withdrawal.publication_jti not in self._known:
            # Its lifetime is unknown, so assume the longest.
            self._learn(withdrawal.publication_jti, None, wire.MAX_LIFETIME_SECONDS, publisher)
            return False
        if publisher and self._publisher_of.get(withdrawal.publication_jti) != publisher:
            raise WireError(403, "not-allowed", f"publisher {publisher} did not publish this 'publication_jti'")
        return self._end(withdrawal.publication_jti)

    def answer(self, token: str, host: str | None = None) -> str | None:
        """Return the key authorization to serve, if any. The pin is checked again here, where it matters.

        `host` is the request's; tokens of publishers are answered only there.
        """
        held = self._held.get(token)
        if held is None:
            return None
        deadline, _, thumbprint, identifier, _, _, publisher = held
        if deadline <= self._clock.monotonic() or not self._pins.answers(publisher, thumbprint, identifier, host):
            return None
        return wire.key_authorization(token, thumbprint)

    def find(self, token: str) -> Publication | None:
        """Return the active publication of the token, even while its account is not pinned."""
        self._forget()
        held = self._held.get(token)
        if held is None:
            return None
        _, jti, thumbprint, identifier, issued_at, expires_at, _ = held
        return Publication(token, thumbprint, identifier, jti, issued_at, expires_at)

    def _check_allowed(self, publication: Publication, publisher: str) -> None:
        self._pins.check(publication, publisher)
        if publication.lifetime_seconds > self._max_lifetime_seconds:
            raise WireError(
                400,
                "malformed",
                f"'exp' - 'iat' is {publication.lifetime_seconds} s, but this responder accepts at most"
                f" {self._max_lifetime_seconds} (--max-lifetime-seconds)",
            )

    def _check_holder(self, token: str, publisher: str) -> None:
        """Raise WireError 409 if a publisher would replace a token of another that is still answered."""
        held = self._held.get(token)
        if held is None or not publisher or held[-1] == publisher:
            return
        _, _, thumbprint, identifier, _, _, holder = held
        if self._pins.allows(holder, thumbprint, identifier):
            raise WireError(409, "held", "another publishing key published this token; wait until it is withdrawn")

    def _published_again(self, publication: Publication, publisher: str) -> Published:
        held = self._held.get(publication.token)
        if held is not None and held == _held_token(held[0], publication, publisher):
            return Published(is_new=False, expires_in_seconds=held[0] - self._clock.monotonic())
        if held is not None and held[1] == publication.jti:
            raise WireError(409, "jti-reused", "another publication with this 'jti' is active; use a new 'jti'")
        raise WireError(
            409,
            "ended",
            "this 'jti' was withdrawn, replaced, expired or used for another token; sign a new publication",
        )

    def _learn(self, jti: str, token: str | None, lifetime_seconds: float, publisher: str) -> None:
        limit = KNOWN_PER_TOKEN * self._max_tokens
        if len(self._known) >= limit:
            raise WireError(507, "full", f"{limit} publications are already remembered; wait, or raise --max-tokens")
        if publisher:
            self._count(jti, publisher)
        self._known[jti] = token
        # A message is accepted from MAX_CLOCK_SKEW before its `iat` until MAX_CLOCK_SKEW after its `exp`.
        keep_seconds = lifetime_seconds + 2 * wire.MAX_CLOCK_SKEW_SECONDS
        heapq.heappush(self._forget_at, (self._clock.monotonic() + keep_seconds, jti))

    def _count(self, jti: str, publisher: str) -> None:
        """Count a publisher's `jti`. Together, publishers get half of the room, in equal shares."""
        share = max(1, self._max_tokens // 2 // self._pins.publisher_count)
        if self._known_by[publisher] >= share:
            raise WireError(507, "full", f"{share} publications of {publisher} are already remembered; wait")
        self._publisher_of[jti] = publisher
        self._known_by[publisher] += 1

    def _end(self, jti: str) -> bool:
        token = self._known[jti]
        held = self._held.get(token) if token is not None else None
        if token is None or held is None or held[1] != jti:
            return False
        del self._held[token]
        return True

    def _forget(self) -> None:
        """End expired publications, and forget `jti`s that no acceptable message can have."""
        now = self._clock.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            self._end(heapq.heappop(self._deadlines)[1])
        while self._forget_at and self._forget_at[0][0] <= now:
            jti = heapq.heappop(self._forget_at)[1]
            del self._known[jti]
            if publisher := self._publisher_of.pop(jti, ""):
                self._known_by[publisher] -= 1
