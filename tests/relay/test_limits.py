"""Bounds of a relay: connections, waiting polls, remembered permits, checks per second."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.relay.conftest import RECORDS, media_type, settings
from tests.relay.messages import FLEET_KEY, STRANGER_KEY, WEB1_KEY, signed
from tests.responder.http import ask, connect, send
from tests.responder.messages import NOW
from wellkeeper_client import relay_wire, wire
from wellkeeper_client.record_state import Wanted
from wellkeeper_client.wire import WireError
from wellkeeper_relay.app import Relay
from wellkeeper_relay.budget import Budget
from wellkeeper_relay.keys import NODES_CHECKS, STRANGERS_CHECKS, Keys
from wellkeeper_relay.store import MAX_WAITING, Store
from wellkeeper_responder.capacity import MAX_PUBLIC_CONNECTIONS, Limits

ALL: Final = Wanted({"bundle"}, lambda _: True)


def clock_at(now: float = NOW) -> FakeClock:
    clock = FakeClock()
    clock.step(now - clock.timestamp())
    return clock


def test_budget_allows_so_many_per_second_and_twice_as_many_at_once() -> None:
    clock = clock_at()
    budget = Budget(5, clock.monotonic)
    assert [budget.take() for _ in range(11)] == [True] * 10 + [False]
    clock.advance(0.3)
    assert [budget.take() for _ in range(2)] == [True, False]
    clock.advance(1)
    assert [budget.take() for _ in range(6)] == [True] * 5 + [False]
    clock.advance(3600)
    assert [budget.take() for _ in range(11)] == [True] * 10 + [False]


def permit(node: str, at: float = NOW) -> str:
    return relay_wire.sign_permit(node, at, WEB1_KEY)


FORGED: Final = permit("web1")[:-4] + "AAAA"


def statuses_of(keys: Keys, permits: Iterable[str], peers: Iterable[str], known: str | None = None) -> list[int]:
    """Return the statuses that refuse the permits."""
    statuses = []
    for one, peer in zip(permits, peers, strict=True):
        with pytest.raises(WireError) as caught:
            keys.check_permit(one, peer, known)
        statuses.append(caught.value.status)
    return statuses


def enrolled() -> tuple[Keys, FakeClock]:
    clock = clock_at()
    keys = Keys([FLEET_KEY.public_key()], clock)
    keys.enrol("web1", WEB1_KEY.public_key())
    return keys, clock


def test_former_permit_of_a_node_can_be_checked_again() -> None:
    keys, clock = enrolled()
    permits = [permit("web1", NOW + number) for number in range(30)]
    for one in permits:
        clock.advance(0.1)
        assert keys.check_permit(one, "10.0.0.1", None) == "web1"
    assert keys.check_permit(permits[0], "10.0.0.1", None) == "web1"


def test_connections_that_had_a_permit_count_for_their_node() -> None:
    (keys, _), most = enrolled(), 2 * NODES_CHECKS
    assert statuses_of(keys, [FORGED] * 25, ["10.0.0.1"] * 25) == [401] * 20 + [429] * 5
    assert statuses_of(keys, [FORGED] * (most + 1), ["10.0.0.1"] * (most + 1), "web1") == [401] * most + [429]


def test_connection_of_a_node_that_was_forgotten_is_a_strangers() -> None:
    keys, _ = enrolled()
    assert statuses_of(keys, [FORGED] * 25, ["10.0.0.1"] * 25, "web9") == [401] * 20 + [429] * 5


def test_address_that_sends_forged_permits_does_not_keep_another_one_out() -> None:
    keys, _ = enrolled()
    for strangers in ([f"2001:db8::{number:x}" for number in range(50)], ["10.0.0.9"] * 50, ["uid 33"] * 50):
        assert statuses_of(keys, [FORGED] * 50, strangers) == [401] * 20 + [429] * 30
    assert keys.check_permit(permit("web1"), "2001:db8:0:1::1", None) == "web1"


def test_all_strangers_together_are_limited() -> None:
    (keys, clock), most = enrolled(), 2 * STRANGERS_CHECKS
    strangers = [f"10.1.{number // 100}.{number % 100}" for number in range(2000)]
    assert statuses_of(keys, [FORGED] * 2000, strangers) == [401] * most + [429] * (2000 - most)
    clock.advance(1)
    assert keys.check_permit(permit("web1"), "10.0.0.1", None) == "web1"


def test_permits_of_unknown_keys_are_not_counted() -> None:
    keys, foreign = enrolled()[0], relay_wire.sign_permit("web1", NOW, STRANGER_KEY)
    assert statuses_of(keys, [foreign] * 1000, ["10.0.0.1"] * 1000) == [401] * 1000
    assert keys.check_permit(permit("web1"), "10.0.0.1", None) == "web1"


def test_unknown_node_can_be_forgotten() -> None:
    Keys([], clock_at()).forget("web9")


async def test_waiting_polls_are_limited() -> None:
    store = Store(clock_at(), 1000)
    polls = [asyncio.ensure_future(store.wait(1, ALL, 60)) for _ in range(MAX_WAITING)]
    await run_tasks_until(lambda: store.waiting_count == MAX_WAITING)
    with pytest.raises(WireError) as caught:
        await store.wait(1, ALL, 60)
    assert caught.value.status == 429
    await store.wait(1, ALL, 0)
    store.close()
    await asyncio.gather(*polls)
    assert store.waiting_count == 0


async def test_all_connections_of_a_full_listener_may_wait() -> None:
    store = Store(clock_at(), 1000)
    polls = [asyncio.ensure_future(store.wait(1, ALL, 60)) for _ in range(MAX_PUBLIC_CONNECTIONS)]
    await asyncio.sleep(0)
    assert store.waiting_count == MAX_PUBLIC_CONNECTIONS
    store.close()
    await asyncio.gather(*polls)


async def test_polls_after_the_stop_return_at_once() -> None:
    store = Store(clock_at(), 1000)
    store.close()
    await store.wait(1, ALL, 60)


async def test_connections_are_limited_and_strangers_make_room(tmp_path: Path) -> None:
    made = settings(tmp_path)
    async with Relay(made, clock_at(), Limits(4, 4)) as relay:
        writers = [(await connect(relay.node_addresses[0]))[1] for _ in range(20)]
        page = (await ask(made.issuer, "GET", wire.METRICS_PATH)).body.decode()
        assert 'wellkeeper_relay_connections{listener="nodes"} 4.0' in page
        assert 'wellkeeper_relay_connections_closed_total{listener="nodes"} 16.0' in page
        for writer in writers:
            writer.close()


async def test_connection_without_room_is_refused_and_counted(tmp_path: Path) -> None:
    made = settings(tmp_path)
    async with Relay(made, clock_at(), Limits(0, 4)) as relay:
        reply = await send(relay.node_addresses[0], b"")
        assert reply.startswith(b"HTTP/1.1 503 ")
        assert b"Server: wellkeeper-relay\r\n" in reply
        page = (await ask(made.issuer, "GET", wire.METRICS_PATH)).body.decode()
        assert 'wellkeeper_relay_connections_refused_total{listener="nodes"} 1.0' in page


async def test_heartbeat_without_a_service_manager_is_stored(tmp_path: Path) -> None:
    made = settings(tmp_path)
    async with Relay(made, clock_at()):
        path, message = f"{RECORDS}/heartbeat/issuer", signed("heartbeat/issuer")
        assert (await ask(made.issuer, "PUT", path, media_type(), message)).status == 200
