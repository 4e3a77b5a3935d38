"""Nodes that join: once per invite, in time, under their own name, with their own keys; everything else is refused."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes import FakeClock, FakeHistory, run_tasks_until
from tests.fakes_fleet import FakeFleet
from tests.issuer.fleet.relays import FakeRelay
from tests.joins import INVITE, OTHER, PINS, SECRET, WEB9, WEB9_SEALING, request
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from tests.responder.messages import NOW
from wellkeeper_client import records as fleet_records
from wellkeeper_client.joining import JoinAnswer, JoinRequest, parse_answer
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_issuer.errors import HookError, JournalError
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_issuer.fleet.joins import Joins, Terms
from wellkeeper_issuer.ports.fleet import EnrolledNode, OpenInvite
from wellkeeper_issuer.records import Notice
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.wording import format_time

START = datetime.fromtimestamp(NOW, UTC)
CERTIFICATES = {"web": ("dns:www.example.org",), "mail": ("dns:mail.example.org",)}
OPEN = OpenInvite(
    INVITE.id,
    "web9",
    SECRET,
    Terms(PINS, ("10.0.0.1:8404",), CERTIFICATES).to_text(),
    ("*",),
    answers=True,
    created_at=START,
    expires_at=START + timedelta(hours=1),
)
JOINED = EnrolledNode("web9", WEB9, WEB9_SEALING, ("*",), answers=True, enrolled_at=START, invite=INVITE.id)
KEY = f"join/{INVITE.id}"
ANSWER = f"answer/{INVITE.id}"


class Notes:
    """`Notifications` that keep what was sent, or fail."""

    def __init__(self) -> None:
        self.sent: list[tuple[Notice, str, str]] = []
        self.failure = ""

    async def send(self, notice: Notice, lineage: str, detail: str) -> None:
        if self.failure:
            raise HookError(self.failure)
        self.sent.append((notice, lineage, detail))


class Host:
    """An issuer that lets nodes join over a relay in memory."""

    def __init__(self, records: FakeFleet) -> None:
        self.clock = FakeClock(START)
        self.records, self.notes, self.relay = records, Notes(), FakeRelay(self.clock)
        self.history = FakeHistory()
        self.joins = Joins(self.records, self.notes, self.clock, self.history)
        self.feed = Feed(self.relay, FLEET_KEY, self.clock, {Kind.JOIN: self.joins.take})

    async def ask(self, message: bytes, key: str = KEY) -> None:
        """Put a request as the relay does for a stranger."""
        known = await self.relay.get(key)
        await self.relay.put(key, message, expected=known.version if known else None, expires_at=NOW + 3600.0)

    async def answer(self, asked: JoinRequest) -> JoinAnswer:
        """Ask, and return the answer to this request."""
        await self.ask(asked.to_bytes())
        while True:
            found = await self.relay.get(ANSWER)
            if found is not None:
                record = fleet_records.check(found.value, FLEET_KEYS, Kind.ANSWER, NOW)
                answer = parse_answer(record.body)
                if answer.nonce == asked.nonce:
                    return answer
            await asyncio.sleep(0)

    async def is_refused(self, message: bytes, key: str = KEY) -> None:
        """Ask, and wait until the request is deleted."""
        await self.ask(message, key)
        for _ in itertools.repeat(None):
            if await self.relay.get(key) is None:
                return
            await asyncio.sleep(0)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.feed.run()), asyncio.create_task(self.joins.run(self.feed))]
        await run_tasks_until(self.feed.heard.is_set)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@pytest.fixture
async def host() -> Host:
    made = Host(FakeFleet())
    await made.records.record_invite(OPEN)
    return made


async def test_invited_node_is_enrolled_and_answered(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with host.working():
        answer = await host.answer(request())
        await host.joins.until_answered(INVITE.id)
    assert answer.is_for(request())
    assert (answer.pins, answer.relays, answer.answers) == (PINS, ("10.0.0.1:8404",), True)
    assert answer.certificates == CERTIFICATES
    assert await host.records.read_nodes() == {"web9": JOINED}
    assert host.notes.sent == [(Notice.JOINED, "web9", "it gets all certificates, and answers challenges")]
    assert "node 'web9' has joined: it gets all certificates" in caplog.text
    details = {"certificates": "all", "answers": "yes", "key": WEB9, "invited": format_time(OPEN.created_at)}
    assert host.history.happened == [Happened(What.NODE_JOINED, "web9", details)]


async def test_invite_that_expires_unused_is_in_the_history_once(host: Host) -> None:
    await host.records.record_invite(replace(OPEN, id="u" * 22, node="used", used_by=frozenset({"s"})))
    async with host.working():
        host.clock.advance(3601)
        for _ in range(2):
            await host.joins.offer(host.feed)
    assert host.history.happened == [Happened(What.INVITE_EXPIRED, "web9")]


async def test_node_learns_of_its_own_certificates_only(host: Host) -> None:
    await host.records.record_invite(replace(OPEN, lineages=("mail",), answers=False))
    async with host.working():
        answer = await host.answer(request())
        await host.joins.until_answered(INVITE.id)
    assert (set(answer.certificates), answer.answers) == ({"mail"}, False)
    assert host.notes.sent[0][2] == "it gets the certificates mail, and does not answer challenges"


async def test_webhook_that_fails_does_not_keep_a_node_out(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.notes.failure = "cannot post"
    async with host.working():
        await host.answer(request())
        await host.joins.until_answered(INVITE.id)
    assert "cannot post" in caplog.text


async def test_node_whose_answer_was_lost_asks_again_and_is_enrolled_once(host: Host) -> None:
    async with host.working():
        await host.answer(request())
        again = request(nonce="B" * 21 + "A")
        assert (await host.answer(again)).is_for(again)
        await host.joins.until_answered(INVITE.id)
    assert len(host.notes.sent) == 1


async def test_used_invite_is_not_for_another_node(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    async with host.working():
        await host.answer(request())
        await host.is_refused(request(signing_key=OTHER).to_bytes())
    assert "node 'web9' could not join: another node has used this invite" in caplog.text
    assert (await host.records.read_nodes())["web9"].signing_key == WEB9


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"{}", "its request is not valid: a request has the members"),
        (request(sealing_key="A" * 43).to_bytes(), "the sealing key is not the public key of any node"),
        (request(bytes(16)).to_bytes(), "made without the invite"),
        (replace(request(), signing_key=OTHER).to_bytes(), "or changed in transit"),
        (replace(request(), sealing_key=WEB9).to_bytes(), "or changed in transit"),
        (request(node="web8").to_bytes(), "the request is for node 'web8'"),
    ],
    ids=["form", "low order", "guessed", "signing key swapped", "sealing key swapped", "name"],
)
async def test_other_requests_are_refused_and_the_invite_stays_open(
    host: Host, message: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with host.working():
        await host.is_refused(message)
        assert await host.records.read_nodes() == {}
        assert why in caplog.text
        await host.answer(request())


async def test_late_or_unknown_invite_is_refused(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    await host.records.record_invite(replace(OPEN, expires_at=START))
    async with host.working():
        await host.is_refused(request().to_bytes())
        await host.is_refused(request().to_bytes(), f"join/{'x' * 22}")
    assert "its invite is unknown or has expired" in caplog.text


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (EnrolledNode("web9", OTHER, WEB9, ("*",), True, START), "a node with this name has joined"),
        (EnrolledNode("web8", OTHER, WEB9_SEALING, ("*",), True, START), "its keys are those of node 'web8'"),
    ],
    ids=["name", "keys"],
)
async def test_name_and_keys_of_a_node_are_its_own(
    host: Host, node: EnrolledNode, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    await host.records.record_node(node)
    async with host.working():
        await host.is_refused(request().to_bytes())
    assert why in caplog.text
    assert await host.records.read_nodes() == {node.name: node}


async def test_open_invites_are_offered_until_they_end(host: Host) -> None:
    await host.records.record_invite(replace(OPEN, id="o" * 22, node="web8", expires_at=START + timedelta(minutes=5)))
    async with host.working():
        await host.joins.offer(host.feed)
        assert await host.relay.keys(Kind.INVITE) == sorted([f"invite/{INVITE.id}", f"invite/{'o' * 22}"])
        host.clock.advance(300)
        await host.joins.offer(host.feed)
        assert await host.relay.keys(Kind.INVITE) == [f"invite/{INVITE.id}"]
        await host.records.forget_node("web9")
        await host.joins.offer(host.feed)
        assert await host.relay.keys(Kind.INVITE) == []
    assert await host.records.read_invites() == {}


async def test_state_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Damaged(FakeFleet):
        async def enrol(self, _node: EnrolledNode, _invite: str) -> None:
            raise JournalError("cannot write the state", "disk full")

    host = Host(Damaged())
    await host.records.record_invite(OPEN)
    async with host.working():
        await host.ask(request().to_bytes())
        await run_tasks_until(lambda: "a node could not join: cannot write the state: disk full" in caplog.text)


async def test_made_up_requests_are_bounded_and_do_not_fill_the_log(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        host.joins.take(Stored(f"join/{number:022}", b"junk"))
    host.joins.take(Stored(KEY, request().to_bytes()))
    async with host.working():
        await run_tasks_until(lambda: "its invite is unknown" in caplog.text)
        assert len(caplog.messages) == 1
        await host.answer(request())


class RemovedMeanwhile(FakeFleet):
    """Records of an issuer whose command removes each node while it joins."""

    async def enrol(self, node: EnrolledNode, invite: str) -> None:
        await self.forget_node(node.name)
        await super().enrol(node, invite)


async def test_node_that_is_removed_while_it_joins_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(RemovedMeanwhile())
    await host.records.record_invite(OPEN)
    async with host.working():
        await host.is_refused(request().to_bytes())
    assert "node 'web9' could not join: it was removed, or its invite ended, at the same moment. Run" in caplog.text
    assert (host.notes.sent, await host.relay.get(ANSWER)) == ([], None)
