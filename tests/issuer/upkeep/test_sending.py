"""Sending what waits: order, targets that are slow, away or refuse, repeats, and what becomes too old.

In simulated time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes_outbox import FakeOutbox, FakeTarget
from tests.virtual_time import VirtualClock, VirtualLoop
from wellkeeper_issuer.errors import HookError, RefusedError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.records import Notice
from wellkeeper_issuer.upkeep.queueing import MOST_WAITING, QueuedNotifications
from wellkeeper_issuer.upkeep.sending import Sending

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
AWAY = HookError("cannot notify chat", "nobody listens")


class Post:
    """An outbox with its targets, `sending` to them in the background if asked to."""

    def __init__(self, *targets: FakeTarget) -> None:
        self.outbox, self.clock, self.targets = FakeOutbox(), VirtualClock(START), list(targets)
        self.sending = Sending(self.outbox, lambda: self.targets, self.clock)

    async def report(self, notice: Notice, subject: str = "web", detail: str = "why") -> None:
        await QueuedNotifications(self.outbox, self.targets, self.clock).send(notice, subject, detail)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.sending.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()


def simulate(played: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await played()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - simulated time passes
        await asyncio.sleep(1)


def test_each_target_gets_the_notices_that_it_wants() -> None:
    async def play() -> None:
        chat, mail = FakeTarget("chat", Notice.FAILURE, Notice.RECOVERY), FakeTarget("mail", Notice.FAILURE)
        post = Post(chat, mail)
        for notice in (Notice.FAILURE, Notice.RECOVERY, Notice.JOINED):
            await post.report(notice)
        await post.sending.flush()
        assert [one.notice for one in chat.got] == [Notice.FAILURE, Notice.RECOVERY]
        assert [one.notice for one in mail.got] == [Notice.FAILURE]
        assert chat.got[0] == mail.got[0]
        assert await post.outbox.read_backlogs() == {}

    simulate(play)


def test_notice_that_cannot_be_recorded_is_an_error() -> None:
    async def play() -> None:
        post = Post(FakeTarget("chat"))
        post.outbox.is_broken = True
        with pytest.raises(HookError, match="cannot record the failure of web for your notifications"):
            await post.report(Notice.FAILURE)

    simulate(play)


def test_too_many_notices_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        post = Post(FakeTarget("chat"))
        post.outbox.rows["chat"] = []
        for number in range(MOST_WAITING):
            post.outbox.rows["chat"].append(message(f"n{number}"))
        await post.report(Notice.FAILURE, "last")
        waiting = await post.outbox.read_waiting("chat")
        assert (len(waiting), waiting[0].subject, waiting[-1].subject) == (MOST_WAITING, "n1", "last")

    simulate(play)
    assert caplog.messages == ["notifications: 1000 wait for chat; the oldest was dropped"]


def message(subject: str) -> Message:
    return Message(subject, Notice.FAILURE, subject, "why", START)


def test_slow_target_delays_no_other() -> None:
    async def play() -> None:
        slow, chat = FakeTarget("slow"), FakeTarget("chat")
        post = Post(slow, chat)
        slow.open.clear()
        async with post.running():
            for number in range(3):
                await post.report(Notice.FAILURE, f"n{number}")
                before = post.clock.now()
                await until(lambda: len(chat.got) == number + 1)  # noqa: B023 - awaited at once
                assert post.clock.now() - before <= timedelta(seconds=1)
            assert (len(slow.tried), slow.got) == (1, [])
            slow.open.set()
            await until(lambda: len(slow.got) == 3)

    simulate(play)


def test_notice_that_comes_while_the_last_one_is_being_sent_does_not_wait() -> None:
    async def play() -> None:
        slow = FakeTarget("slow")
        post = Post(slow)
        async with post.running():
            await post.report(Notice.FAILURE)
            await until(lambda: len(slow.got) == 1)
            slow.open.clear()
            await post.report(Notice.RECOVERY)
            await until(lambda: len(slow.tried) == 2)
            await post.report(Notice.JOINED)
            before = post.clock.now()
            slow.open.set()
            await until(lambda: len(slow.got) == 3)
            assert post.clock.now() - before <= timedelta(seconds=1)

    simulate(play)


def test_target_that_was_away_gets_everything_in_order_with_the_same_ids() -> None:
    async def play() -> None:
        chat = FakeTarget("chat", errors=[AWAY] * 9)
        post = Post(chat)
        await post.report(Notice.FAILURE)
        async with post.running():
            await until(lambda: len(chat.tried) == 2)
            await post.report(Notice.RECOVERY)
            backlog = (await post.outbox.read_backlogs())["chat"]
            assert (backlog.waiting, backlog.since, backlog.error) == (2, START, str(AWAY))
            await until(lambda: len(chat.got) == 2)
        assert [one.notice for one in chat.got] == [Notice.FAILURE, Notice.RECOVERY]
        assert set(chat.tried[:10]) == {chat.got[0].id}
        # After 30 s, 1, 2, 4 and 8 minutes, then 15 minutes each time.
        waited = post.clock.now() - START - timedelta(minutes=15.5 + 4 * 15)
        assert timedelta() <= waited <= timedelta(seconds=10)
        assert await post.outbox.read_backlogs() == {}

    simulate(play)


def test_message_that_a_target_refuses_delays_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        chat = FakeTarget("chat", errors=[RefusedError("cannot notify chat", "too long")])
        post = Post(chat)
        for name in ("a", "b"):
            await post.report(Notice.FAILURE, name)
        await post.sending.flush()
        assert [one.subject for one in chat.got] == ["b"]
        assert (await post.outbox.read_backlogs())["chat"].waiting == 1

    simulate(play)
    assert caplog.messages == ["cannot notify chat: too long It is sent again later."]


def test_message_that_was_not_accepted_for_three_days_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        chat = FakeTarget("chat")
        post = Post(chat)
        await post.report(Notice.FAILURE, detail="the CA says no")
        await asyncio.sleep(3 * 24 * 3600)
        await post.report(Notice.RECOVERY)
        await post.sending.flush()
        assert [one.notice for one in chat.got] == [Notice.RECOVERY]

    simulate(play)
    assert caplog.messages == ["notifications: chat never accepted the failure of web: the CA says no"]


def test_broken_state_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        chat = FakeTarget("chat")
        post = Post(chat)
        await post.report(Notice.FINDING, "")
        post.outbox.is_broken = True
        async with post.running():
            await until(lambda: len(caplog.records) == 2)
            post.outbox.is_broken = False
            await until(lambda: len(chat.got) == 1)

    simulate(play)
    words = "notifications to chat: cannot use the state: the disk is full"
    assert caplog.record_tuples[0][1:] == (logging.ERROR, words)


def test_accepted_message_is_not_sent_again_while_the_state_cannot_be_written() -> None:
    async def play() -> None:
        chat = FakeTarget("chat")
        post = Post(chat)
        await post.report(Notice.FAILURE)
        post.outbox.is_full = True
        async with post.running():
            await asyncio.sleep(3600)
            assert len(chat.got) == 1
            post.outbox.is_full = False
            await asyncio.sleep(3600)
        assert len(chat.got) == 1
        assert await post.outbox.read_backlogs() == {}

    simulate(play)


def test_target_of_new_settings_gets_what_comes_then() -> None:
    async def play() -> None:
        post, later = Post(), FakeTarget("later")
        async with post.running():
            await post.report(Notice.FAILURE)
            post.targets.append(later)
            await post.report(Notice.RECOVERY)
            await until(lambda: len(later.got) == 1)
        assert later.got[0].notice is Notice.RECOVERY

    simulate(play)


def test_defect_of_one_target_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        chat = FakeTarget("chat", errors=[ValueError("a defect")])
        post = Post(chat)
        await post.report(Notice.FINDING, "")
        await post.sending.flush()

    simulate(play)
    assert caplog.messages == ["notifications to chat: ValueError('a defect')"]
