"""Requests about nodes over the daemon's socket."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.contracts.test_fleet import INVITE, MANY, WEB2
from tests.fakes import FakeClock
from tests.fakes_fleet import FakeFleet
from tests.fakes_state import FakeSchedules
from tests.issuer.outside.states import SCHEDULE
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.records import Rule
from wellkeeper_issuer.service import node_requests, remote
from wellkeeper_issuer.service.node_requests import NodeRequests, decode_invite, decode_node, encode_invite, encode_node


def requests(records: FakeFleet) -> NodeRequests:
    return NodeRequests(records, FakeSchedules(), FakeClock())


async def test_invite_is_recorded_and_replaces_an_earlier_one() -> None:
    records = FakeFleet()
    handler = requests(records).handlers[node_requests.INVITE]
    later = replace(INVITE, id="l" * 22, lineages=("web",), expires_at=INVITE.expires_at + timedelta(seconds=0.5))
    for invite in (INVITE, later):
        assert await handler({"invite": encode_invite(invite)}, remote.ignore) == {}
    assert await records.read_invites() == {later.id: later}


async def test_node_is_added() -> None:
    records = FakeFleet()
    assert await requests(records).handlers[node_requests.ADD]({"node": encode_node(WEB2)}, remote.ignore) == {}
    assert await records.read_nodes() == {"web2": WEB2}
    with pytest.raises(DaemonError, match="cannot read the node"):
        decode_node({})


async def test_node_is_forgotten() -> None:
    records = FakeFleet()
    await records.record_node(WEB2)
    assert await requests(records).handlers[node_requests.REMOVE]({"name": "web2"}, remote.ignore) == {}
    assert await records.read_nodes() == {}


async def test_certificates_of_a_compromised_node_are_due_from_then_on() -> None:
    schedules, clock = FakeSchedules(), FakeClock()
    for name in ("web", "mail"):
        await schedules.record_schedule(replace(SCHEDULE, lineage=name))
    remove = NodeRequests(FakeFleet(), schedules, clock).handlers[node_requests.REMOVE]
    assert await remove({"name": "web2", "exposed": ["web", "unknown"]}, remote.ignore) == {}
    found = {name: one.rule is Rule.REVOKED for name, one in (await schedules.read_schedules()).items()}
    assert found == {"web": True, "mail": False}
    assert schedules.schedules["web"].renew_at == clock.now()


async def test_invite_is_revoked_by_its_id_or_with_a_compromised_node() -> None:
    records, clock = FakeFleet(), FakeClock()
    handlers = NodeRequests(records, FakeSchedules(), clock).handlers
    for name in ("m" * 22, "n" * 22):
        await records.record_invite(replace(MANY, id=name))
    assert await handlers[node_requests.REVOKE]({"invite": "m" * 22}, remote.ignore) == {}
    await handlers[node_requests.REMOVE]({"name": "web2", "invite": "n" * 22}, remote.ignore)
    assert [one.revoked_at for one in (await records.read_invites()).values()] == [clock.now()] * 2


@pytest.mark.parametrize(
    "found", [None, [], {}, encode_invite(INVITE) | {"secret": "x"}, encode_invite(INVITE) | {"more": 1}], ids=str
)
def test_damaged_invite_is_refused(found: Any) -> None:  # noqa: ANN401 - JSON
    with pytest.raises(DaemonError, match="cannot read the invite"):
        decode_invite(found)
