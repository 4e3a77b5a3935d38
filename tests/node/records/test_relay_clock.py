"""The clock of a relay, as its replies tell it."""

import pytest
from aiohttp import web

from tests.node.records.test_relay import KEY, client, hostile
from tests.responder.messages import NOW
from wellkeeper_client.record_state import Stored
from wellkeeper_node.records.relay import RelayRecords


async def ask(records: RelayRecords) -> Stored | None:
    return await records.get(KEY)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        pytest.param("Sun, 01 Mar 2026 12:00:00 GMT", 0.0, id="same"),
        pytest.param("Sun, 01 Mar 2026 11:00:00 GMT", 3600.0, id="behind"),
        pytest.param("Sun, 01 Mar 2026 12:10:00 GMT", -600.0, id="ahead"),
        pytest.param("soon", None, id="not a date"),
        pytest.param("Sun, 01 Mar 99999 12:00:00 GMT", None, id="too far"),
        pytest.param("", None, id="empty"),
    ],
)
async def test_clock_here_is_compared_with_the_relays(date: str, expected: float | None) -> None:
    def answer(_: web.Request) -> web.Response:
        return web.json_response({"record": None}, headers={"Date": date})

    async with hostile(answer) as address, client(address) as records:
        records._clock.step(1772366400 - NOW)  # type: ignore[attr-defined]  # noqa: SLF001 - a fake
        assert records.clock_ahead_seconds is None
        await ask(records)
        assert records.clock_ahead_seconds == expected
