"""Tokens: published, expired, withdrawn and forgotten."""

import gc

import pytest

from tests.fakes import FakeClock
from tests.responder.messages import OTHER_THUMBPRINT, OTHER_TOKEN, THUMBPRINT, TOKEN, publication, withdrawal
from wellkeeper_client import wire
from wellkeeper_client.wire import WireError
from wellkeeper_responder.tokens import KNOWN_PER_TOKEN, Tokens

_ANSWER = f"{TOKEN}.{THUMBPRINT}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens(clock: FakeClock) -> Tokens:
    return Tokens(clock, [THUMBPRINT], max_tokens=4)


def _refusal(tokens: Tokens, jti: str, token: str = TOKEN) -> WireError:
    with pytest.raises(WireError) as caught:
        tokens.publish(publication(token, jti=jti))
    return caught.value


def _jti(number: int) -> str:
    return f"p-{number:016}"


def test_published_token_is_answered(tokens: Tokens) -> None:
    published = tokens.publish(publication())
    assert published.is_new
    assert published.expires_in_seconds == 600
    assert tokens.answer(TOKEN) == _ANSWER


def test_unpublished_token_is_not_answered(tokens: Tokens) -> None:
    tokens.publish(publication())
    assert tokens.answer(OTHER_TOKEN) is None


def test_published_token_is_forgotten_after_its_lifetime(tokens: Tokens, clock: FakeClock) -> None:
    tokens.publish(publication())
    clock.advance(599.9)
    assert tokens.answer(TOKEN) == _ANSWER
    clock.advance(0.1)
    assert tokens.answer(TOKEN) is None
    assert len(tokens) == 0


def test_lifetime_is_counted_on_the_monotonic_clock(tokens: Tokens, clock: FakeClock) -> None:
    tokens.publish(publication())
    clock.step(86_400)
    assert tokens.answer(TOKEN) == _ANSWER
    clock.step(-10 * 86_400)
    clock.advance(600)
    assert tokens.answer(TOKEN) is None


def test_publishing_again_does_not_extend_the_lifetime(tokens: Tokens, clock: FakeClock) -> None:
    tokens.publish(publication())
    clock.advance(100)
    again = tokens.publish(publication())
    assert not again.is_new
    assert again.expires_in_seconds == pytest.approx(500)


def test_account_that_is_not_pinned_is_refused(tokens: Tokens) -> None:
    with pytest.raises(WireError, match="wellkeeper trust") as caught:
        tokens.publish(publication(thumbprint=OTHER_THUMBPRINT))
    assert (caught.value.status, caught.value.name) == (403, "not-pinned")
    assert tokens.known_count == 0


def test_pin_is_checked_again_when_answering(clock: FakeClock) -> None:
    pins = {THUMBPRINT}
    tokens = Tokens(clock, pins, max_tokens=4)
    tokens.publish(publication())
    pins.clear()
    assert tokens.answer(TOKEN) is None


def test_lifetime_over_the_responders_own_limit_is_refused(clock: FakeClock) -> None:
    tokens = Tokens(clock, [THUMBPRINT], max_tokens=4, max_lifetime_seconds=300)
    with pytest.raises(WireError, match="at most 300") as caught:
        tokens.publish(publication(lifetime_seconds=301))
    assert caught.value.status == 400
    tokens.publish(publication(lifetime_seconds=300))


def test_withdrawn_token_is_not_answered(tokens: Tokens) -> None:
    tokens.publish(publication())
    assert tokens.withdraw(withdrawal())
    assert tokens.answer(TOKEN) is None
    assert len(tokens) == 0


def test_withdrawing_twice_succeeds(tokens: Tokens) -> None:
    tokens.publish(publication())
    tokens.withdraw(withdrawal())
    assert not tokens.withdraw(withdrawal())


def test_replay_of_a_withdrawn_publication_does_not_restore_it(tokens: Tokens, clock: FakeClock) -> None:
    tokens.publish(publication())
    tokens.withdraw(withdrawal())
    # It is acceptable until its `exp` plus the skew has passed; its `iat` may lie in the future.
    clock.advance(600 + 2 * wire.MAX_CLOCK_SKEW_SECONDS - 1)
    refusal = _refusal(tokens, publication().jti)
    assert (refusal.status, refusal.name) == (409, "ended")
    assert tokens.answer(TOKEN) is None


def test_replay_of_an_expired_publication_does_not_restore_it(tokens: Tokens, clock: FakeClock) -> None:
    tokens.publish(publication())
    clock.advance(600)
    assert _refusal(tokens, publication().jti).name == "ended"


def test_withdrawal_that_arrives_first_ends_its_publication(tokens: Tokens) -> None:
    assert not tokens.withdraw(withdrawal())
    assert _refusal(tokens, publication().jti).name == "ended"


def test_newer_publication_replaces_the_older_one(tokens: Tokens, clock: FakeClock) -> None:
    tokens.publish(publication(jti=_jti(1)))
    clock.advance(500)
    assert tokens.publish(publication(jti=_jti(2))).is_new
    clock.advance(500)
    assert tokens.answer(TOKEN) == _ANSWER
    assert _refusal(tokens, _jti(1)).name == "ended"


def test_replay_of_an_old_withdrawal_does_not_end_a_newer_publication(tokens: Tokens) -> None:
    tokens.publish(publication(jti=_jti(1)))
    tokens.withdraw(withdrawal(_jti(1)))
    tokens.publish(publication(jti=_jti(2)))
    assert not tokens.withdraw(withdrawal(_jti(1)))
    assert tokens.answer(TOKEN) == _ANSWER


def test_withdrawal_ends_its_publication_even_when_it_names_another_token(tokens: Tokens) -> None:
    tokens.publish(publication(jti=_jti(1)))
    tokens.publish(publication(OTHER_TOKEN, jti=_jti(2)))
    assert tokens.withdraw(withdrawal(_jti(1), token=OTHER_TOKEN))
    assert tokens.answer(TOKEN) is None
    assert tokens.answer(OTHER_TOKEN) is not None


def test_jti_is_valid_for_one_publication_only(tokens: Tokens) -> None:
    tokens.publish(publication())
    refusal = _refusal(tokens, publication().jti, OTHER_TOKEN)
    assert (refusal.status, refusal.name) == (409, "ended")
    with pytest.raises(WireError) as caught:
        tokens.publish(publication(lifetime_seconds=601))
    assert (caught.value.status, caught.value.name) == (409, "jti-reused")


def test_full_responder_refuses_and_evicts_nothing(tokens: Tokens, clock: FakeClock) -> None:
    names = [f"{number:043}" for number in range(5)]
    for number, name in enumerate(names[:4]):
        tokens.publish(publication(name, jti=_jti(number)))
    refusal = _refusal(tokens, _jti(4), names[4])
    assert (refusal.status, refusal.name) == (507, "full")
    assert all(tokens.answer(name) for name in names[:4])
    # A held publication can still be replaced, and there is room again after the lifetime.
    tokens.publish(publication(names[0], jti=_jti(5)))
    clock.advance(600)
    tokens.publish(publication(names[4], jti=_jti(4)))


def test_remembered_publications_are_bounded(tokens: Tokens, clock: FakeClock) -> None:
    for number in range(4 * KNOWN_PER_TOKEN):
        tokens.withdraw(withdrawal(_jti(number)))
    with pytest.raises(WireError) as caught:
        tokens.withdraw(withdrawal(_jti(999)))
    assert caught.value.status == 507
    assert _refusal(tokens, _jti(998)).status == 507
    assert tokens.known_count == 4 * KNOWN_PER_TOKEN
    clock.advance(wire.MAX_LIFETIME_SECONDS + 2 * wire.MAX_CLOCK_SKEW_SECONDS)
    assert tokens.known_count == 0
    assert tokens.publish(publication()).is_new


def test_everything_is_forgotten_eventually(tokens: Tokens, clock: FakeClock) -> None:
    for number in range(8):
        tokens.publish(publication(f"{number % 4:043}", jti=_jti(number)))
    clock.advance(600 + 2 * wire.MAX_CLOCK_SKEW_SECONDS)
    assert (len(tokens), tokens.known_count) == (0, 0)


@pytest.mark.slow
def test_memory_stays_bounded_over_a_hundred_thousand_publications(clock: FakeClock) -> None:
    count = 100_000
    tokens = Tokens(clock, [THUMBPRINT], count)
    for number in range(count):
        tokens.publish(publication(f"{number:043}", jti=_jti(number)))
    assert _refusal(tokens, _jti(count)).status == 507
    assert all(tokens.answer(f"{number:043}") for number in range(0, count, 1000))
    for number in range(count):
        assert tokens.withdraw(withdrawal(_jti(number)))
    assert (len(tokens), tokens.known_count) == (0, count)
    clock.advance(600 + 2 * wire.MAX_CLOCK_SKEW_SECONDS)
    assert (len(tokens), tokens.known_count) == (0, 0)


def test_held_tokens_are_not_visited_by_the_garbage_collector(clock: FakeClock) -> None:
    tokens = Tokens(clock, [THUMBPRINT], max_tokens=1000)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000):
        tokens.publish(publication(f"{number:043}", jti=_jti(number)))
    gc.collect()
    assert len(gc.get_objects()) - before < 100
