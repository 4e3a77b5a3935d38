"""Publications and withdrawals in any order, checked step by step against a plain model."""

from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.fakes import FakeClock
from tests.responder.messages import OTHER_THUMBPRINT, THUMBPRINT, publication, withdrawal
from wellkeeper_client import wire
from wellkeeper_client.signing import Publication
from wellkeeper_client.wire import WireError
from wellkeeper_responder.tokens import KNOWN_PER_TOKEN, Tokens

MAX_TOKENS: Final = 3
TOKENS: Final = [f"{number:043}" for number in range(MAX_TOKENS + 2)]
JTIS: Final = [f"p-{number:016}" for number in range(5)]
tokens, jtis = st.sampled_from(TOKENS), st.sampled_from(JTIS)


class AnyOrder(RuleBasedStateMachine):
    """`published` has what must be answered and until when, `used` has `jti`s and until when."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.tokens = Tokens(self.clock, [THUMBPRINT], MAX_TOKENS)
        self.published: dict[str, tuple[Publication, float]] = {}
        self.used: dict[str, float] = {}

    @rule(token=tokens, jti=jtis, lifetime=st.sampled_from([1, 600, wire.MAX_LIFETIME_SECONDS]), is_ours=st.booleans())
    def publish(self, token: str, jti: str, lifetime: int, *, is_ours: bool) -> None:
        thumbprint = THUMBPRINT if is_ours else OTHER_THUMBPRINT
        wanted = publication(token, thumbprint=thumbprint, jti=jti, lifetime_seconds=lifetime)
        if not is_ours:
            with pytest.raises(WireError, match="does not answer for"):
                self.tokens.publish(wanted)
            return
        try:
            published = self.tokens.publish(wanted)
        except WireError:  # used up, or full: the invariant sees that nothing changed
            return
        if published.is_new:
            assert self.used.get(jti, 0) <= self.clock.monotonic()
            self.use(jti, lifetime)
            self.published[token] = (wanted, self.clock.monotonic() + lifetime)
        assert self.published[token][0] == wanted

    @rule(token=tokens, jti=jtis)
    def withdraw(self, token: str, jti: str) -> None:
        try:
            was_published = self.tokens.withdraw(withdrawal(jti, token=token))
        except WireError:  # too many to remember
            return
        previous = [one for one, (publication_, _) in self.published.items() if publication_.jti == jti]
        assert was_published == bool(previous)
        for one in previous:
            del self.published[one]
        if self.used.get(jti, 0) <= self.clock.monotonic():
            self.use(jti, wire.MAX_LIFETIME_SECONDS)

    @rule(seconds=st.sampled_from([0.5, 60, 600, 3600]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        now = self.clock.monotonic()
        self.published = {token: one for token, one in self.published.items() if one[1] > now}

    @rule(days=st.integers(-400, 400))
    def set_the_wall_clock(self, days: int) -> None:
        self.clock.step(days * 86_400)

    @rule()
    def forget(self) -> None:
        """Let the longest lifetime pass, after which nothing is remembered."""
        self.wait(wire.MAX_LIFETIME_SECONDS + 2 * wire.MAX_CLOCK_SKEW_SECONDS)
        assert self.tokens.known_count == 0

    def use(self, jti: str, lifetime: float) -> None:
        """Remember the `jti` until no message that names it can be accepted any more."""
        self.used[jti] = self.clock.monotonic() + lifetime + 2 * wire.MAX_CLOCK_SKEW_SECONDS

    @invariant()
    def answers_published_tokens_and_nothing_else(self) -> None:
        for token in TOKENS:
            expected = self.published[token][0].key_authorization if token in self.published else None
            assert self.tokens.answer(token) == expected
        assert len(self.tokens) == len(self.published) <= MAX_TOKENS
        assert self.tokens.known_count <= KNOWN_PER_TOKEN * MAX_TOKENS


TestAnyOrder = pytest.mark.slow(AnyOrder.TestCase)
TestAnyOrder.settings = settings(max_examples=30, stateful_step_count=30, deadline=None, database=None)
