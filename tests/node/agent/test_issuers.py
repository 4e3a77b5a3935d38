"""Heartbeats that an agent hears, and its reports of them."""

import asyncio
from pathlib import Path

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.node.agent.made import MadeNode, virtually
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.heartbeats import KEY, Heartbeat, IssuerId
from wellkeeper_node.agent.issuers import HeardIssuers
from wellkeeper_node.agent.report import Report, parse_report

AT = int(NOW.timestamp())


def beat(name: str, at: int = AT) -> bytes:
    return records.sign(Heartbeat(IssuerId(name, f"host-{name}", 1), at).to_record(), FLEET_KEY).encode()


class Hearing:
    def __init__(self) -> None:
        self.clock, self.notified = FakeClock(NOW), 0
        self.heard = HeardIssuers(FLEET_KEYS, self.clock, self._notify)

    def _notify(self) -> None:
        self.notified += 1


def test_last_heartbeat_of_each_issuer_is_kept_and_another_issuer_is_reported_at_once() -> None:
    hearing = Hearing()
    assert hearing.heard.take(beat("a"))
    assert hearing.notified == 1
    assert hearing.heard.take(beat("a", AT + 60))
    assert hearing.notified == 1
    assert hearing.heard.take(beat("b", AT + 61))
    assert hearing.notified == 2
    assert hearing.heard.heartbeats == (beat("a", AT + 60).decode(), beat("b", AT + 61).decode())


def test_older_and_forged_heartbeats_change_nothing() -> None:
    hearing = Hearing()
    assert hearing.heard.take(beat("a"))
    assert not hearing.heard.take(beat("a"))
    assert not hearing.heard.take(beat("a", AT - 60))
    assert not hearing.heard.take(beat("b")[:-4] + b"AAAA")
    assert not hearing.heard.take(beat("b", AT - 1300))
    assert hearing.heard.heartbeats == (beat("a").decode(),)


def test_issuer_that_is_silent_for_five_minutes_is_forgotten() -> None:
    hearing = Hearing()
    hearing.heard.take(beat("a"))
    hearing.clock.advance(299)
    assert hearing.heard.heartbeats
    hearing.clock.advance(2)
    assert hearing.heard.heartbeats == ()


def test_many_issuers_do_not_fill_reports() -> None:
    hearing = Hearing()
    for number in range(6):
        hearing.heard.take(beat(f"issuer-{number}"))
    assert len(hearing.heard.heartbeats) == 4


def test_report_has_the_heartbeats_of_all_relays(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, relays=2)
        for relay, name in zip(node.relays, "ab", strict=True):
            await relay.put(KEY, beat(name))
        async with asyncio.timeout(600), node.running():
            await node.issuer.enrol()
            found = await node.reported(lambda one: len(one.heartbeats) == 2)
            assert set(found.heartbeats) == {beat("a").decode(), beat("b").decode()}

    virtually(work)


def test_report_of_a_former_version_has_none() -> None:
    found = Report("1.2.3", 0.0, heartbeats=("x",) * 5).to_json()
    assert parse_report("web2", found).heartbeats == ("x",) * 4
    del found["heartbeats"]
    assert parse_report("web2", found).heartbeats == ()
