"""The engine of a node: kept on disk, and never replaced by what an older record says."""

import logging
from pathlib import Path
from typing import Final

import pytest

from tests.fleet import OTHER_FLEET_KEY, TIME, WEB1, WEB2, public
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.records import Record
from wellkeeper_client.signing import key_id
from wellkeeper_node.agent.kept_engine import FILE, KeptEngine
from wellkeeper_node.bundles.engine_access import EngineAccess, seal_access

ACCESS: Final = EngineAccess("redis://10.0.0.9:6379", "wellkeeper-node", "secret")
OTHER: Final = EngineAccess("redis://10.0.0.8:6379", "wellkeeper-node", "secret")


@pytest.fixture
def kept(tmp_path: Path) -> KeptEngine:
    return KeptEngine(tmp_path, "web2", FLEET_KEYS, WEB2)


def record(number: int, access: EngineAccess | None = None, key: bytes = b"") -> Record:
    sealed = seal_access(access, "web2", key or public(WEB2)) if access else ""
    return Record("node/web2", number, TIME, TIME + 600, NodeBody("s" * 43, "x" * 43, engine=sealed).to_json())


def take(kept: KeptEngine, one: Record) -> bool:
    return kept.take(one, records.sign(one, FLEET_KEY).encode())


def test_engine_is_kept_for_the_next_start(kept: KeptEngine, tmp_path: Path) -> None:
    assert kept.access() is None
    assert take(kept, record(1, ACCESS))
    assert KeptEngine(tmp_path, "web2", FLEET_KEYS, WEB2).access() == ACCESS
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert b"secret" not in (tmp_path / FILE).read_bytes()


def test_same_engine_sealed_again_changes_nothing(kept: KeptEngine) -> None:
    assert take(kept, record(1, ACCESS))
    assert not take(kept, record(2, ACCESS))
    assert take(kept, record(3, OTHER))
    assert take(kept, record(4))
    assert not take(kept, record(5))
    assert kept.access() is None


def test_older_record_does_not_bring_a_former_engine_back(kept: KeptEngine) -> None:
    assert take(kept, record(5, ACCESS))
    for older in (record(4), record(5), record(4, OTHER)):
        assert not take(kept, older)
    assert take(kept, record(6))
    assert not take(kept, record(5, ACCESS))
    assert kept.access() is None


def test_fleet_without_an_engine_keeps_no_file(kept: KeptEngine, tmp_path: Path) -> None:
    assert not take(kept, record(1))
    assert not list(tmp_path.iterdir())


def test_access_for_other_keys_is_kept_until_they_are_taken(
    kept: KeptEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = record(1, ACCESS, public(WEB1))
    assert take(kept, one)
    assert not take(kept, Record(one.key, 2, TIME, TIME + 600, one.body))
    with caplog.at_level(logging.WARNING):
        assert kept.access() is None
    assert "this node follows only its relays: cannot use the engine" in caplog.text
    assert KeptEngine(tmp_path, "web2", FLEET_KEYS, WEB1).access() == ACCESS


def test_record_of_a_fleet_key_that_is_not_trusted_any_more_is_no_record(kept: KeptEngine, tmp_path: Path) -> None:
    assert take(kept, record(1, ACCESS))
    other = OTHER_FLEET_KEY.public_key()
    assert KeptEngine(tmp_path, "web2", {key_id(other): other}, WEB2).access() is None
