"""Reusable invites: as many nodes join as there are uses, each under a name that no other has; the others learn why."""

import asyncio
import base64
import itertools
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.fakes import run_tasks_until
from tests.fakes_fleet import FakeFleet
from tests.issuer.fleet.test_joins import OPEN, START, Host, Notes
from tests.joins import INVITE, OTHER, WEB9, WEB9_SEALING, request
from tests.relay.messages import FLEET_KEYS
from tests.responder.messages import NOW
from wellkeeper_client import joining, records
from wellkeeper_client.joining import JoinRefusal, JoinRequest, parse_refusal
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_issuer.records import Notice

MANY = replace(OPEN, node="", uses=3, lineages=("web",), is_ephemeral=True, expires_at=START + timedelta(days=30))
JOINED = EnrolledNode("web9", WEB9, WEB9_SEALING, ("web",), True, START, is_ephemeral=True, invite=MANY.id)


def made(number: int) -> JoinRequest:
    """Return the request of one more node."""
    sealing = X25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key().public_bytes_raw()
    signing = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key()
    text = base64.urlsafe_b64encode(sealing).rstrip(b"=").decode()
    return request(node=f"web{number}", signing_key=encode_public_key(signing), sealing_key=text)


class Many(Host):
    """An issuer with a reusable invite."""

    async def reply(self, asked: JoinRequest) -> Record:
        """Ask, and return the record that answers this request."""
        exchange = joining.exchange_of(INVITE.id, asked.signing_key)
        await self.ask(asked.to_bytes(), f"join/{exchange}")
        for _ in itertools.repeat(None):
            found = await self.relay.get(f"answer/{exchange}")
            if found is not None:
                record = records.check(found.value, FLEET_KEYS, Kind.ANSWER, NOW)
                if record.body["nonce"] == asked.nonce:
                    return record
            await asyncio.sleep(0)
        raise AssertionError

    async def refusal(self, asked: JoinRequest) -> JoinRefusal:
        found = parse_refusal((await self.reply(asked)).body)
        assert found is not None
        return found

    async def used(self) -> int:
        return len((await self.records.read_invites())[MANY.id].used_by)

    async def offered(self) -> Record:
        found = await self.relay.get(f"invite/{MANY.id}")
        assert found is not None
        return records.check(found.value, FLEET_KEYS, Kind.INVITE, self.clock.now().timestamp())


@pytest.fixture
async def host() -> Many:
    host = Many(FakeFleet())
    await host.records.record_invite(MANY)
    return host


async def names(found: FakeFleet) -> Iterable[str]:
    return sorted(await found.read_nodes())


async def test_nodes_join_under_their_own_names_and_each_join_is_notified(
    host: Many, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with host.working():
        for asked in (request(), made(1)):
            assert joining.parse_answer((await host.reply(asked)).body).is_for(asked)
        await run_tasks_until(lambda: len(host.notes.sent) == 2)
    nodes = await host.records.read_nodes()
    assert (nodes["web9"], list(nodes)) == (JOINED, ["web9", "web1"])
    detail = f"it gets the certificates web, and answers challenges; it has used invite {MANY.id}"
    assert host.notes.sent == [
        (Notice.JOINED, "web9", f"{detail}, 1 of 3"),
        (Notice.JOINED, "web1", f"{detail}, 2 of 3"),
    ]
    assert f"node 'web1' has joined: {detail}, 2 of 3" in caplog.text


async def test_sixty_ask_at_once_for_fifty_uses_and_exactly_fifty_join(host: Many) -> None:
    await host.records.record_invite(replace(MANY, uses=50))
    async with host.working():
        replies = await asyncio.gather(*(host.reply(made(number)) for number in range(60)))
    refusals = [found for one in replies if (found := parse_refusal(one.body))]
    assert (len(refusals), {one.why for one in refusals}) == (10, {"all 50 uses of its invite are used"})
    assert (len(await host.records.read_nodes()), await host.used()) == (50, 50)


async def test_node_that_asks_again_uses_the_invite_once_also_after_a_restart_of_the_issuer(host: Many) -> None:
    async with host.working():
        await host.reply(request())
        await host.reply(request(nonce="B" * 21 + "A"))
        await run_tasks_until(lambda: len(host.notes.sent) == 1)
    restarted = Many(host.records)
    async with restarted.working():
        await restarted.reply(request(nonce="C" * 21 + "A"))
    assert (await host.used(), restarted.notes.sent) == (1, [])


async def test_repeated_request_does_not_bring_a_removed_node_back(host: Many) -> None:
    async with host.working():
        await host.reply(request())
        await host.records.forget_node("web9")
        again = request(nonce="B" * 21 + "A")
        refusal = await host.refusal(again)
        assert refusal.why == "it has joined with this invite before, and was removed"
        assert "wellkeeper-node leave" in refusal.remedy
        await host.reply(made(1))
    assert await names(host.records) == ["web1"]


async def test_copy_of_a_node_that_joined_learns_the_name_of_that_node(host: Many) -> None:
    async with host.working():
        await host.reply(request())
        refusal = await host.refusal(request(node="web8", nonce="B" * 21 + "A"))
    assert refusal.why == "its keys are those of node 'web9'"


async def test_last_use_is_not_lost_for_a_node_whose_answer_was(host: Many) -> None:
    await host.records.record_invite(replace(MANY, uses=1))
    async with host.working():
        await host.reply(request())
        again = request(nonce="B" * 21 + "A")
        assert joining.parse_answer((await host.reply(again)).body).is_for(again)


@pytest.mark.parametrize(
    ("known", "asked", "why"),
    [
        (replace(JOINED, signing_key=OTHER), request(), "a node with this name has joined"),
        (replace(JOINED, name="web8"), request(), "its keys are those of node 'web8'"),
        (replace(JOINED, invite=""), request(), "it has joined already, without this invite"),
        (JOINED, request(node="Web7"), "a name has only a-z"),
    ],
    ids=["name", "keys", "added", "form"],
)
async def test_enrolled_node_is_never_taken_over_and_the_other_one_learns_why(
    host: Many, known: EnrolledNode, asked: JoinRequest, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    await host.records.record_node(known)
    async with host.working():
        found = await host.refusal(asked)
    assert found.why.startswith(why)
    assert why in caplog.text
    assert (await host.records.read_nodes(), await host.used()) == ({known.name: known}, 0)


async def test_node_learns_that_its_invite_was_revoked_also_one_that_had_used_it(host: Many) -> None:
    async with host.working():
        await host.reply(request())
        await host.records.revoke_invite(MANY.id, START)
        for asked in (made(1), request(nonce="B" * 21 + "A")):
            found = await host.refusal(asked)
            assert found.why == f"its invite was revoked at {START:%Y-%m-%d %H:%M} UTC"
            assert "Run 'wellkeeper node invites' on the issuer's host" in found.remedy
    assert list(await host.records.read_nodes()) == ["web9"]


async def test_request_without_the_secret_is_deleted_without_an_answer(host: Many) -> None:
    async with host.working():
        await host.is_refused(request(bytes(16)).to_bytes(), f"join/{joining.exchange_of(MANY.id, WEB9)}")
    assert await host.relay.keys(Kind.ANSWER) == []
    assert await host.used() == 0


async def test_relay_of_an_earlier_version_is_named_and_no_use_is_lost(
    host: Many, caplog: pytest.LogCaptureFixture
) -> None:
    async with host.working():
        await host.is_refused(request().to_bytes(), f"join/{MANY.id}")
    assert "node 'web9' could not join: the relay runs an earlier version" in caplog.text
    assert await host.used() == 0


async def test_slow_webhook_delays_no_node() -> None:
    class Slow(Notes):
        async def send(self, *_: object) -> None:
            await asyncio.Event().wait()

    host = Many(FakeFleet())
    host.joins.notifications = Slow()
    await host.records.record_invite(MANY)
    async with host.working():
        for number in range(3):
            await host.reply(made(number))


async def test_relay_has_a_long_invite_for_an_hour_and_gets_it_again_until_it_ends(host: Many) -> None:
    async with host.working():
        await host.joins.offer(host.feed)
        first = await host.offered()
        assert (first.expires_at, first.body) == (NOW + 3600, {joining.REUSABLE: True})
        host.clock.advance(1700)
        await host.joins.offer(host.feed)
        assert await host.offered() == first
        host.clock.advance(200)
        await host.joins.offer(host.feed)
        second = await host.offered()
        assert (second.number > first.number, second.expires_at) == (True, NOW + 1900 + 3600)
        host.clock.advance(30 * 86_400 - 1900 - 60)
        await host.joins.offer(host.feed)
        assert (await host.offered()).expires_at == NOW + 30 * 86_400
        host.clock.advance(60)
        await host.joins.offer(host.feed)
        assert await host.relay.keys(Kind.INVITE) == []
    assert await host.records.read_invites() == {}


async def test_relay_has_no_revoked_invite(host: Many) -> None:
    async with host.working():
        await host.joins.offer(host.feed)
        await host.records.revoke_invite(MANY.id, START)
        await host.joins.offer(host.feed)
        assert await host.relay.keys(Kind.INVITE) == []
    assert await host.records.read_invites() == {MANY.id: replace(MANY, revoked_at=START)}
