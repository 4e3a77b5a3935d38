"""Tokens for nodes behind the relay: published as records, read back and fetched as the nodes report."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_deliver import dns
from tests.fakes_fleet import FakeFleet
from tests.fakes_obtain import FakeProgress, FakeReadBacks
from tests.fakes_state import FakeState
from tests.issuer.fleet.relays import FakeRelay, PlayedNode
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from tests.responder.messages import KEY, THUMBPRINT, TOKEN
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import NodeBody, PublicationBody, parse_publication
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_issuer.fleet.relayed import RelayedResponder
from wellkeeper_issuer.fleet.reports import Reports
from wellkeeper_issuer.obtain.publish import ReadBacks
from wellkeeper_node.agent.report import FetchReport, PublicationReport, ResponderReport
from wellkeeper_node.model import Answer, ReadBack
from wellkeeper_node.responders.publications import AllResponders

ANSWER = Answer(TOKEN, THUMBPRINT, dns("a.example"))


class Fleet:
    """Two nodes that answer and one that does not, behind a relay that a running feed follows."""

    def __init__(self, clock: FakeClock, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.clock = clock
        self.relay = FakeRelay(clock, max_bytes)
        self.web2, self.web3, self.backup = (PlayedNode(name, self.relay, clock) for name in ("web2", "web3", "backup"))
        self.enrolled: dict[str, NodeBody] = {one.name: one.body for one in (self.web2, self.web3)}
        self.enrolled["backup"] = NodeBody(self.backup.body.signing_key, self.backup.body.sealing_key, answers=False)
        self.records = FakeFleet()
        self.reports = Reports(lambda: self.enrolled, clock)
        self.feed = Feed(self.relay, FLEET_KEY, clock, {Kind.REPORT: self.reports.take})
        self.relayed = RelayedResponder(self.feed, self.reports, self.records, lambda: self.enrolled, clock)
        self.responders = AllResponders([self.relayed], KEY, clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.feed.run())
        try:
            async with self.responders:
                yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def jti(self) -> str:
        (key,) = await self.relay.keys(Kind.PUBLICATION)
        return key.removeprefix("publication/")

    async def hold(self, node: PlayedNode, *read_backs: ReadBack, error: str | None = None) -> None:
        """Let the node report the publication, and wait until the report was read."""
        found = PublicationReport(error is None, error, read_backs)
        await node.say(publications={await self.jti(): found})
        await run_tasks_until(lambda: self.reports.of(node.name) == node.report)

    async def failures(self, without: Collection[str] = ()) -> dict[str, str | None]:
        return {one.node: one.cause for one in await self.relayed.failures([ANSWER], without)}


@pytest.fixture
async def fleet(clock: FakeClock) -> AsyncIterator[Fleet]:
    made = Fleet(clock)
    async with made.running():
        yield made


async def test_publication_and_its_withdrawal_are_records(fleet: Fleet) -> None:
    async with fleet.responders.publish([ANSWER]):
        jti = await fleet.jti()
        first = await read(fleet, jti)
        assert not first.is_withdrawal
        fleet.enrolled.clear()  # none answers any more, but some may have it
    second = await read(fleet, jti)
    assert second.is_withdrawal
    assert first.message != second.message


async def read(fleet: Fleet, jti: str) -> PublicationBody:
    stored = await fleet.relay.get(f"publication/{jti}")
    assert stored is not None
    record = records.check(stored.value, FLEET_KEYS, Kind.PUBLICATION, fleet.clock.now().timestamp())
    return parse_publication(record.body)


async def test_nothing_is_published_without_a_node_that_answers(fleet: Fleet) -> None:
    del fleet.enrolled["web2"], fleet.enrolled["web3"]
    assert fleet.relayed.has_nodes()
    async with fleet.responders.publish([ANSWER]):
        assert (await fleet.relay.keys(Kind.PUBLICATION), await fleet.failures()) == ([], {})
    assert await fleet.relay.keys(Kind.PUBLICATION) == []


async def test_all_nodes_that_answer_must_hold_the_token(fleet: Fleet) -> None:
    async with fleet.responders.publish([ANSWER]):
        await fleet.hold(fleet.web2)
        assert await fleet.failures() == {"web3": "it has never reported"}
        await fleet.hold(fleet.web3, ReadBack("web3", "http://a.example/", "127.0.0.1:80", 200, None))
        assert await fleet.failures() == {}


async def test_node_that_is_removed_meanwhile_fails_nothing(fleet: Fleet) -> None:
    async with fleet.responders.publish([ANSWER]):
        await fleet.hold(fleet.web2)
        asked = asyncio.create_task(fleet.failures())
        await asyncio.sleep(0)
        del fleet.enrolled["web3"]
        assert await asked == {}


async def test_read_back_that_failed_on_a_node_names_it_with_its_words(fleet: Fleet) -> None:
    failed = ReadBack("web3", "http://a.example/", "127.0.0.1:80", 403, "nginx denies it", "Allow it.")
    async with fleet.responders.publish([ANSWER]):
        await fleet.hold(fleet.web2)
        await fleet.hold(fleet.web3, failed)
        assert await fleet.relayed.failures([ANSWER]) == [failed]


async def test_cause_of_a_missing_token_is_recorded_until_the_node_serves_one(fleet: Fleet, clock: FakeClock) -> None:
    async def recorded() -> dict[str, str]:
        return {
            name: one.cause
            for name, one in (await fleet.records.read_missing_tokens(clock.now() - timedelta(minutes=1))).items()
        }

    failed = ReadBack("web3", "http://a.example/", "127.0.0.1:80", 403, "nginx denies it", "Allow it.")
    async with fleet.responders.publish([ANSWER]):
        await fleet.hold(fleet.web3, failed)
        await fleet.failures()
        causes = await recorded()
        assert causes.keys() == {"web2", "web3"}
        assert causes["web3"] == "HTTP 403: nginx denies it"
        assert causes["web2"] == "it has never reported"
        await fleet.hold(fleet.web2)
        await fleet.hold(fleet.web3)
        await fleet.failures()
        assert await recorded() == {}


async def test_what_all_nodes_serve_is_recorded_in_one_step(fleet: Fleet) -> None:
    steps: list[set[tuple[str, str]]] = []

    class Listed(FakeFleet):
        async def forget_missing_tokens(self, *served: tuple[str, str]) -> None:
            steps.append(set(served))

    reading = RelayedResponder(fleet.feed, fleet.reports, Listed(), lambda: fleet.enrolled, fleet.clock)
    async with AllResponders([reading], KEY, fleet.clock) as responders, responders.publish([ANSWER]):
        await fleet.hold(fleet.web2)
        await fleet.hold(fleet.web3)
        assert await reading.failures([ANSWER]) == []
    assert steps == [{("web2", "a.example"), ("web3", "a.example")}]


async def test_clock_of_a_node_without_the_token_is_named(fleet: Fleet) -> None:
    async with fleet.responders.publish([ANSWER]):
        fleet.web2.report = replace(fleet.web2.report, clock=fleet.clock.timestamp() + 3600)
        fleet.reports.take(fleet.web2.signed(1))
        assert (await fleet.failures())["web2"] == "it has not reported the token, its clock is 3600 s ahead"


async def test_dead_responder_is_the_cause_before_the_agent_gives_up(fleet: Fleet) -> None:
    async with fleet.responders.publish([ANSWER]):
        await fleet.hold(fleet.web2)
        await fleet.web3.say(responder=ResponderReport(error="it is dead"))
        await run_tasks_until(lambda: fleet.reports.of("web3") == fleet.web3.report)
        assert await fleet.failures() == {"web3": "its responder: it is dead"}


async def test_node_is_asked_for_its_report_for_some_seconds(fleet: Fleet) -> None:
    async with fleet.responders.publish([ANSWER]):
        await fleet.web2.say()
        await fleet.hold(fleet.web3, error="it restarts")
        at = fleet.clock.now()
        assert await fleet.failures() == {
            "web2": f"it has not reported the token, its last report is from {at:%Y-%m-%d %H:%M} UTC",
            "web3": "its responder has not accepted the token: it restarts",
        }
        assert [one for one in fleet.clock.slept if one in {2, 10}] == [2, 10]


@pytest.mark.parametrize(("seconds", "waits"), [(0, [2, 10]), (31, [2])], ids=["just started", "later"])
async def test_silent_nodes_alone_are_not_waited_for_as_long(fleet: Fleet, seconds: float, waits: list[float]) -> None:
    fleet.clock.advance(seconds)
    async with fleet.responders.publish([ANSWER]):
        await fleet.hold(fleet.web2)
        await fleet.failures()
        assert [one for one in fleet.clock.slept if one in {2, 10}] == waits


async def test_node_can_be_left_out(fleet: Fleet, clock: FakeClock) -> None:
    read_backs = ReadBacks((), FakeReadBacks(), FakeProgress(), None, fleet.relayed)
    async with fleet.responders.publish([ANSWER]):
        await fleet.hold(fleet.web2)
        assert await fleet.failures(["web3"]) == {}
        assert [one.node for one in await read_backs.without([]).failures([ANSWER])] == ["web3"]
        assert await read_backs.without(["web3"]).failures([ANSWER]) == []
    assert clock.slept


async def test_relay_that_is_away_fails_the_read_back_and_not_the_publication(fleet: Fleet) -> None:
    fleet.relay.is_up = False
    async with fleet.responders.publish([ANSWER]):
        away = "cannot reach the relay: Connection refused"
        assert await fleet.failures() == {"web2": away, "web3": away}
        fleet.relay.is_up = True
        await run_tasks_until(lambda: not fleet.feed.failure)
        assert await fleet.jti()


async def test_relay_that_is_away_is_waited_for_but_not_by_each_certificate(fleet: Fleet, clock: FakeClock) -> None:
    fleet.relay.is_up = False
    async with fleet.responders.publish([ANSWER]):
        assert await fleet.failures(["web2", "web3"]) == {}
        assert 15.0 not in clock.slept
        for waits in (1, 1):
            await fleet.failures()
            assert clock.slept.count(15.0) == waits
        clock.advance(60)
        await fleet.failures()
        assert clock.slept.count(15.0) == 2


async def test_nodes_have_their_time_again_after_an_outage_meanwhile(fleet: Fleet, clock: FakeClock) -> None:
    async with fleet.responders.publish([ANSWER]):
        asked = asyncio.create_task(fleet.failures())
        await run_tasks_until(lambda: 2.0 in clock.slept)
        fleet.relay.is_up = False
        now = int(clock.now().timestamp())
        await fleet.feed.put(Record("heartbeat/issuer", 1, now, now + 600))
        await asked
        assert clock.slept.count(10.0) == 2


async def test_next_process_withdraws_a_token_that_was_left_once_the_relay_answers(fleet: Fleet) -> None:
    state = FakeState()
    killed = AllResponders([fleet.relayed], KEY, fleet.clock, state.publications)
    later = RelayedResponder(fleet.feed, fleet.reports, fleet.records, lambda: fleet.enrolled, fleet.clock)
    async with (
        killed.publish([ANSWER], "web"),
        AllResponders([later], KEY, fleet.clock, state.publications) as next_one,
    ):
        jti = await fleet.jti()
        fleet.relay.is_up = False
        await next_one.withdraw_left()
        assert [one.jti for one in await state.publications.read_unneeded()] == [jti]
        fleet.relay.is_up = True
        await run_tasks_until(lambda: not fleet.feed.failure)
        assert (await read(fleet, jti)).is_withdrawal
        await next_one.withdraw_left()
        assert await state.publications.read_unneeded() == []


async def test_fetches_that_nodes_report_reach_the_watch(fleet: Fleet) -> None:
    async with fleet.responders.publish([ANSWER]), fleet.responders.watch(TOKEN) as watch:
        await fleet.web2.say(fetches={TOKEN: FetchReport(2, ("192.0.2.1", "192.0.2.2"))})
        await run_tasks_until(lambda: watch.count == 2)
        await fleet.web3.say(fetches={TOKEN: FetchReport(1, ("192.0.2.3",))})
        await fleet.web2.say(fetches={TOKEN: FetchReport(3, ())})
        await run_tasks_until(lambda: watch.count == 4)
        assert set(watch.clients) == {"192.0.2.1", "192.0.2.2", "192.0.2.3", ""}


async def test_agent_that_restarted_counts_from_zero_again(fleet: Fleet) -> None:
    async with fleet.responders.publish([ANSWER]), fleet.responders.watch(TOKEN) as watch:
        await fleet.web2.say(fetches={TOKEN: FetchReport(5, ("192.0.2.1",))})
        await run_tasks_until(lambda: watch.count == 5)
        await fleet.web2.say(fetches={TOKEN: FetchReport(1, ("192.0.2.1",))})
        await run_tasks_until(lambda: watch.count == 6)


async def test_ca_is_not_asked_while_no_node_could_answer(clock: FakeClock) -> None:
    fleet = Fleet(clock)
    fleet.enrolled = {"backup": fleet.enrolled["backup"]}
    assert await fleet.relayed.failures([ANSWER]) == []
    alone = RelayedResponder(fleet.feed, fleet.reports, fleet.records, lambda: fleet.enrolled, clock, has_others=False)
    (failure,) = await alone.failures([ANSWER])
    assert failure.cause is not None
    assert "no node that answers challenges has joined" in failure.cause


async def test_token_that_the_relay_refuses_is_named_with_the_remedy(clock: FakeClock) -> None:
    fleet = Fleet(clock, max_bytes=100)
    async with fleet.running(), fleet.responders.publish([ANSWER]):
        failures = await fleet.relayed.failures([ANSWER])
    assert [one.node for one in failures] == ["web2", "web3"]
    assert failures[0].cause is not None
    assert "cannot store publication/" in failures[0].cause
    assert "no room for the record" in failures[0].cause
