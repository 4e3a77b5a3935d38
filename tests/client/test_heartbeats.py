"""Heartbeats: which issuer feeds the fleet; also those of former versions, and what is none."""

from typing import Any

import pytest

from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.heartbeats import KEY, UNNAMED, Heartbeat, IssuerId, read_heartbeat
from wellkeeper_client.records import Record

NOW = 1_800_000_000
A = IssuerId("a" * 22, "web1", NOW - 1000)


def signed(body: dict[str, Any], key: str = KEY) -> bytes:
    return records.sign(Record(key, NOW, NOW, NOW + 600, body), FLEET_KEY).encode()


def test_heartbeat_is_read_as_it_was_sent() -> None:
    beat = Heartbeat(A, NOW)
    assert read_heartbeat(records.sign(beat.to_record(), FLEET_KEY).encode(), FLEET_KEYS, NOW) == beat
    assert str(A) == "web1 (aaaaaaaa)"


def test_heartbeat_of_a_former_version_names_no_host() -> None:
    assert read_heartbeat(signed({}), FLEET_KEYS, NOW) == Heartbeat(UNNAMED, NOW)
    assert str(UNNAMED) == "a host with an older version"


def test_members_of_a_later_version_are_ignored() -> None:
    found = read_heartbeat(signed({"issuer": {**A.to_json(), "more": 1}, "more": 1}), FLEET_KEYS, NOW)
    assert found.issuer == A


@pytest.mark.parametrize(
    "issuer", [None, [], {}, {**A.to_json(), "id": 1}, {**A.to_json(), "id": "x" * 65}, {**A.to_json(), "since": -1}]
)
def test_other_bodies_are_refused(issuer: object) -> None:
    with pytest.raises(MessageError, match="of an issuer"):
        read_heartbeat(signed({"issuer": issuer}), FLEET_KEYS, NOW)


def test_old_and_foreign_messages_are_refused() -> None:
    with pytest.raises(MessageError, match="expired"):
        read_heartbeat(signed({}), FLEET_KEYS, NOW + 1201)
    with pytest.raises(MessageError, match="it is the record 'heartbeat/other'"):
        read_heartbeat(signed({}, "heartbeat/other"), FLEET_KEYS, NOW)
    with pytest.raises(MessageError):
        read_heartbeat(signed({}), {}, NOW)


def test_host_is_harmless_in_a_terminal() -> None:
    found = read_heartbeat(signed({"issuer": {**A.to_json(), "host": "x\x1b[2J\n" + "y" * 100}}), FLEET_KEYS, NOW)
    assert "\x1b" not in found.issuer.host
    assert len(found.issuer.host) <= 64
