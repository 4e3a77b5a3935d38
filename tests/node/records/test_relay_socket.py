"""The client of a relay at a unix socket that other users could replace."""

import os
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.node.records.test_relay import KEY, client
from tests.relay.conftest import settings
from wellkeeper_node.errors import UnavailableError
from wellkeeper_relay.app import Relay


async def test_socket_that_others_could_replace_is_not_used(tmp_path: Path) -> None:
    made = settings(tmp_path)
    os.chmod(tmp_path, 0o777)  # noqa: PTH101, S103 - Path would count as blocking
    async with client(made.issuer) as records:
        with pytest.raises(UnavailableError, match="cannot trust"):
            await records.get(KEY)


async def test_open_connection_is_used_even_if_others_could_replace_the_socket_later(tmp_path: Path) -> None:
    """It leads to the process that was there; only new connections can lead elsewhere."""
    made = settings(tmp_path)
    async with Relay(made, FakeClock()), client(made.issuer) as records, client(made.issuer) as later:
        assert await records.get(KEY) is None
        os.chmod(tmp_path, 0o777)  # noqa: PTH101, S103 - Path would count as blocking
        assert await records.get(KEY) is None
        with pytest.raises(UnavailableError, match="cannot trust"):
            await later.get(KEY)
