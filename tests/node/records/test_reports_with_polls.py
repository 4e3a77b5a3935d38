"""Reports that a node's client sends with its next poll, to a real relay and to others."""

import asyncio
from contextlib import aclosing

import pytest
from aiohttp import web

from tests.node.records.test_relay import client, hostile, page, stored, web1
from tests.relay.conftest import RunningRelay, running
from tests.relay.messages import WEB1_KEY, signed
from tests.responder.messages import NOW
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import UnavailableError

__all__ = ["running"]

KEY = "report/web1"
FIRST, SECOND, THIRD = (Stored(KEY, signed(KEY, number, by=WEB1_KEY), NOW + 600) for number in (1, 2, 3))


def never() -> None:
    pytest.fail("the report was stored")


async def test_report_comes_with_the_next_poll(running: RunningRelay) -> None:
    async with client(*web1(running)) as records, aclosing(records.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        assert records.carry(FIRST, None, never)
        following = asyncio.ensure_future(anext(updates))
        await running.until_polls_wait()
        found = await records.get(KEY)
        assert found is not None
        assert found.value == FIRST.value
        await running.feed("bundle/www", signed())
        assert [one.key for one in (await following).records] == ["bundle/www"]
        assert await records.put(KEY, SECOND.value, expected=FIRST.version) == SECOND.version


async def test_conflict_is_reported_and_following_continues(running: RunningRelay) -> None:
    failed = asyncio.Event()
    async with client(*web1(running)) as records, aclosing(records.follow(Kind.BUNDLE)) as updates:
        await records.put(KEY, FIRST.value)
        await anext(updates)
        assert records.carry(THIRD, SECOND.version, failed.set)
        following = asyncio.ensure_future(anext(updates))
        await failed.wait()
        await running.feed("bundle/www", signed())
        assert [one.key for one in (await following).records] == ["bundle/www"]
        assert await records.put(KEY, THIRD.value, expected=FIRST.version) == THIRD.version


async def test_report_is_not_lost_with_the_connection(running: RunningRelay) -> None:
    failed = asyncio.Event()
    async with client(*web1(running)) as records, aclosing(records.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        assert records.carry(FIRST, None, failed.set)
        await running.relay.stop()
        with pytest.raises(UnavailableError, match="cannot reach the relay"):
            await anext(updates)
    assert failed.is_set()


@pytest.mark.parametrize("more", [{}, {"takes_report": False}, {"takes_report": "yes"}])
async def test_relay_that_does_not_say_that_it_takes_reports_gets_none(more: dict[str, object]) -> None:
    methods: list[str] = []

    def answer(request: web.Request) -> dict[str, object]:
        methods.append(request.method)
        return page(records=[stored()]) | more

    async with hostile(answer) as address, client(address) as records, aclosing(records.follow(Kind.BUNDLE)) as updates:
        assert not records.carry(FIRST, None, never)
        for _ in range(2):
            await anext(updates)
            assert not records.carry(FIRST, None, never)
    assert methods == ["GET", "GET"]
