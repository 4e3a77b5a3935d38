"""Contract of `ports.people.Outbox`, for the table and the fake."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.fakes_outbox import FakeOutbox
from tests.issuer.outside.states import NOW
from wellkeeper_issuer.messages import Backlog, Message
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.ports.people import Outbox
from wellkeeper_issuer.records import Notice

MINUTE: Final = timedelta(minutes=1)
FAILED: Final = Message("1", Notice.FAILURE, "web", "the CA says no", NOW)
RECOVERED: Final = Message("2", Notice.RECOVERY, "web", "it has recovered", NOW + MINUTE)
AGAIN: Final = replace(FAILED, id="3", at=NOW + 2 * MINUTE)


@pytest.fixture(params=["fake", "sqlite"])
async def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Outbox]:
    if request.param == "fake":
        yield FakeOutbox()
        return
    async with open_state(tmp_path / "state.db", may_write=True) as opened:
        yield opened.outbox


async def put(outbox: Outbox, *messages: Message, target: str = "chat", most: int = 10) -> list[str]:
    """Return the ids that wait afterwards."""
    for one in messages:
        await outbox.put(one, [target], most)
    return [one.id for one in await outbox.read_waiting(target)]


async def test_messages_wait_in_their_order_until_they_are_sent(outbox: Outbox) -> None:
    await outbox.put(FAILED, ["chat", "mail"], 10)
    await outbox.put(RECOVERED, ["chat"], 10)
    assert outbox.changed.is_set()
    assert list(await outbox.read_waiting("chat")) == [FAILED, RECOVERED]
    for _ in range(2):
        await outbox.record_sent("chat", FAILED.id)
    assert list(await outbox.read_waiting("chat")) == [RECOVERED]
    assert list(await outbox.read_waiting("mail")) == [FAILED]
    for _ in range(2):
        await outbox.forget("chat", RECOVERED.id)
    assert list(await outbox.read_waiting("chat")) == []


@pytest.mark.parametrize("is_sent", [True, False])
async def test_same_news_reported_again_within_an_hour_is_one_message(outbox: Outbox, *, is_sent: bool) -> None:
    await put(outbox, FAILED)
    if is_sent:
        await outbox.record_sent("chat", FAILED.id)
    assert await put(outbox, AGAIN) == ([] if is_sent else ["1"])
    assert (await put(outbox, replace(FAILED, id="4", at=NOW + timedelta(hours=2))))[-1:] == ["4"]


async def test_other_news_in_between_make_it_news(outbox: Outbox) -> None:
    assert await put(outbox, FAILED, RECOVERED, AGAIN) == ["1", "2", "3"]
    assert await put(outbox, replace(AGAIN, id="5", subject="mail")) == ["1", "2", "3", "5"]


async def test_oldest_messages_are_dropped_when_too_many_wait(outbox: Outbox) -> None:
    messages = [replace(FAILED, id=str(number), subject=f"n{number}") for number in range(5)]
    assert await put(outbox, *messages, most=3) == ["2", "3", "4"]


async def test_trouble_of_a_target_lasts_until_it_accepts_a_message(outbox: Outbox) -> None:
    assert await outbox.read_backlogs() == {}
    await put(outbox, FAILED)
    assert await outbox.read_backlogs() == {"chat": Backlog(1, oldest_at=NOW)}
    await outbox.record_trouble("chat", "it is away", NOW)
    await outbox.record_trouble("chat", "it says no", NOW + MINUTE)
    assert await outbox.read_backlogs() == {"chat": Backlog(1, NOW, "it says no", NOW)}
    await outbox.record_sent("chat", FAILED.id)
    assert await outbox.read_backlogs() == {}


async def test_trouble_of_a_target_ends_with_the_last_message_that_waits(outbox: Outbox) -> None:
    await put(outbox, FAILED, RECOVERED)
    await outbox.record_trouble("chat", "it says no", NOW)
    await outbox.forget("chat", FAILED.id)
    assert await outbox.read_backlogs() == {"chat": Backlog(1, NOW, "it says no", NOW + MINUTE)}
    await outbox.forget("chat", RECOVERED.id)
    assert await outbox.read_backlogs() == {}
