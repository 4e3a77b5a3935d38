"""The stores that an agent follows: its relays, and an engine that can be used here."""

import logging
from pathlib import Path
from typing import Final

import pytest

from tests.fakes import FakeClock
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.agent.stores import CA_FILE, opened_stores
from wellkeeper_node.bundles.engine_access import EngineAccess
from wellkeeper_node.settings import NodeSettings

RELAY: Final = "10.0.0.1:8404"
ENGINE: Final = "rediss://10.0.0.9:6379"


@pytest.fixture
def settings(tmp_path: Path) -> NodeSettings:
    NodeKeys(tmp_path).make()
    return NodeSettings("web2", (RELAY,), state_dir=tmp_path)


async def followed(
    settings: NodeSettings, address: str, ca_pem: str = "the CA's certificate"
) -> list[tuple[str, str, float | None]]:
    access = EngineAccess(address, "wellkeeper-node", "secret", ca_pem)
    keys = NodeKeys(settings.state_dir)
    async with opened_stores(settings, keys, access, FakeClock()) as stores:
        return [(one.kind, one.name, one.clock_ahead()) for one in stores]


async def test_engine_is_followed_beside_the_relays_with_its_own_ca(settings: NodeSettings) -> None:
    assert await followed(settings, ENGINE) == [("relay", RELAY, None), ("engine", ENGINE, None)]
    path = settings.state_dir / CA_FILE
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("the CA's certificate", 0o600)


async def test_engine_with_a_ca_of_the_system_has_no_file(settings: NodeSettings) -> None:
    assert await followed(settings, ENGINE, "") == [("relay", RELAY, None), ("engine", ENGINE, None)]
    assert not (settings.state_dir / CA_FILE).exists()


async def test_file_of_the_ca_is_written_only_if_it_differs(settings: NodeSettings) -> None:
    await followed(settings, ENGINE)
    before = (settings.state_dir / CA_FILE).stat().st_ctime_ns
    await followed(settings, ENGINE)
    assert (settings.state_dir / CA_FILE).stat().st_ctime_ns == before


async def test_node_that_cannot_write_the_ca_follows_its_relays(
    settings: NodeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.state_dir / CA_FILE).mkdir()
    assert await followed(settings, ENGINE) == [("relay", RELAY, None)]
    assert "this node follows only its relays: cannot" in caplog.text


async def test_node_that_cannot_use_the_engine_follows_its_relays(
    settings: NodeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert await followed(settings, "nats://10.0.0.9") == [("relay", RELAY, None)]
    assert "this node follows only its relays: 'nats://10.0.0.9' is not the address of an engine" in caplog.text
