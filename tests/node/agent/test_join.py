"""Joining: a node takes only what the fleet key of its invite signed, for this request, with the pins of the invite."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.fakes import FakeClock
from tests.joins import INVITE, NONCE, OTHER, PINS, SEALING_KEY, WEB9_KEY, answer, record_of, request
from tests.relay.messages import FLEET_KEY, STRANGER_KEY
from tests.responder.messages import NOW
from wellkeeper_client import records
from wellkeeper_client.joining import JoinAnswer, JoinRefusal, Pins, parse_request
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Record
from wellkeeper_node.agent.join import Relay, join, name_of, verify_answer
from wellkeeper_node.agent.keys import NodePublic
from wellkeeper_node.errors import FleetError, JoinRefusedError, RecordsError, UnavailableError
from wellkeeper_node.model import LINEAGE_NAME

PUBLIC = NodePublic(WEB9_KEY.public_key().public_bytes_raw(), SEALING_KEY.public_key().public_bytes_raw())
KEY = f"answer/{INVITE.id}"


class PlayedRelay:
    """A relay whose replies are in `replies`: errors to raise, None for no answer yet, else the answer."""

    def __init__(self, *replies: RecordsError | None) -> None:
        self._replies = list(replies)
        self.asked = 0

    async def join(self, exchange: str, request: bytes) -> Stored | None:
        assert exchange == INVITE.id
        self.asked += 1
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0] if self._replies else True
        if isinstance(reply, RecordsError):
            raise reply
        return None if reply is None else Stored(KEY, record_of(answer(parse_request(request))))


def away() -> UnavailableError:
    return UnavailableError("cannot reach the relay", "Connection refused", "Check it.")


def clock_at(seconds: float = 0) -> FakeClock:
    return FakeClock(datetime.fromtimestamp(NOW + seconds, UTC))


async def joined(*relays: Relay, clock: FakeClock | None = None) -> JoinAnswer:
    return await join(INVITE, PUBLIC, relays, "1.2.3", clock or clock_at())


async def test_answer_of_the_issuer_is_returned() -> None:
    found = await joined(PlayedRelay())
    assert (found.node, found.pins, found.signing_key) == ("web9", PINS, request().signing_key)


async def test_second_relay_is_asked_when_the_first_is_away() -> None:
    assert (await joined(PlayedRelay(away()), PlayedRelay())).node == "web9"


async def test_node_asks_again_until_the_issuer_answers() -> None:
    relay = PlayedRelay(None, away(), JoinRefusedError("refused", "unknown"), None)
    clock = clock_at()
    with pytest.raises(UnavailableError, match="cannot join as web9: the issuer has not answered"):
        await joined(relay, clock=clock)
    assert sum(clock.slept) == 120


async def test_relay_that_stays_away_is_reported_after_seconds() -> None:
    clock = clock_at()
    with pytest.raises(UnavailableError, match="cannot join as web9: cannot reach the relay: Connection refused"):
        await joined(PlayedRelay(away()), clock=clock)
    assert sum(clock.slept) == 5


async def test_refusal_says_how_to_get_a_new_invite() -> None:
    with pytest.raises(JoinRefusedError, match="Run 'wellkeeper node invite web9' on the issuer's host"):
        await joined(PlayedRelay(JoinRefusedError("the relay refused", "the invite is unknown here")))


async def test_expired_invite_is_not_sent_and_a_clock_may_be_off_by_an_hour() -> None:
    relay = PlayedRelay()
    with pytest.raises(FleetError, match="the invite has expired"):
        await joined(relay, clock=clock_at(7200))
    assert relay.asked == 0
    await joined(relay, clock=clock_at(7100))


async def test_refusal_of_an_expired_invite_says_so() -> None:
    refused = JoinRefusedError("the relay refused", "the invite is unknown here")
    with pytest.raises(JoinRefusedError, match=r"the invite expired at 20.* UTC"):
        await joined(PlayedRelay(refused), clock=clock_at(3600))


REUSABLE = replace(INVITE, is_reusable=True)
EXCHANGE = f"answer/{REUSABLE.exchange(request().signing_key)}"


def refusal(nonce: str = NONCE, key: str = EXCHANGE) -> Stored:
    body = JoinRefusal(nonce, "all 50 uses are used", "Ask for another one.").to_json()
    return Stored(key, records.sign(Record(key, 1, NOW, NOW + 60, body), FLEET_KEY).encode())


def test_each_node_with_a_reusable_invite_takes_its_own_answer_only() -> None:
    assert verify_answer(REUSABLE, request(), Stored(EXCHANGE, record_of(answer(), key=EXCHANGE))) == answer()
    with pytest.raises(FleetError, match="it answers another request"):
        verify_answer(REUSABLE, request(), Stored(KEY, record_of(answer())))


def test_signed_refusal_of_this_request_says_why() -> None:
    with pytest.raises(FleetError, match=r"cannot join as web9: all 50 uses are used. Ask for another one\."):
        verify_answer(REUSABLE, request(), refusal())
    for other in (refusal("B" * 22), refusal(key=KEY)):
        with pytest.raises(FleetError, match="it answers another request"):
            verify_answer(REUSABLE, request(), other)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("ip-10-0-1-23.eu-west-1.compute.internal", "ip-10-0-1-23"),
        ("Web_1", "web_1"),
        ("--büro!", "b-ro"),
        ("", "node"),
        ("x" * 64, "x" * 50),
    ],
)
def test_node_names_itself_after_its_host_and_its_key(host: str, name: str) -> None:
    keys = [name_of(host, bytes([number]) * 32) for number in range(2)]
    assert [re.fullmatch(rf"{name}-[a-z2-7]{{6}}", one) is not None for one in keys] == [True, True]
    assert len(set(keys)) == 2
    assert all(map(LINEAGE_NAME.fullmatch, keys))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (lambda: b"x", "compact JWS"),
        (lambda: record_of(answer(), STRANGER_KEY), "the key in 'kid' is not trusted"),
        (lambda: record_of(answer(), key=f"answer/{'x' * 22}"), "it answers another request"),
        (lambda: record_of(answer(nonce="B" * 22)), "it answers another request"),
        (lambda: record_of(answer(node="web8")), "it answers another request"),
        (lambda: record_of(answer(signing_key=OTHER)), "it answers another request"),
        (lambda: record_of(answer(sealing_key=OTHER)), "it answers another request"),
        (
            lambda: record_of(answer(pins=replace(PINS, account_thumbprints=("u" * 43,)))),
            "its keys are not those of the invite",
        ),
        (lambda: record_of(answer(pins=Pins((), (), ()))), "must not be empty"),
    ],
    ids=["junk", "another fleet key", "other invite", "old", "name", "signing key", "sealing key", "pins", "no pins"],
)
def test_other_answers_are_refused(message: Callable[[], bytes], why: str) -> None:
    with pytest.raises(FleetError, match="cannot join as web9: refused the answer") as caught:
        verify_answer(INVITE, request(), Stored(KEY, message()))
    assert why in caught.value.why
    assert "do not use this one again" in caught.value.remedy
