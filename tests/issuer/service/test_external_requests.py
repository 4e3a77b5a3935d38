"""Certificates of other clients over the daemon's socket."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import FakeCa, dns
from wellkeeper_issuer.errors import DaemonError, SettingsError
from wellkeeper_issuer.external import make_attempt
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.external_requests import DELIVER, ExternalRequests, to_request

PAIR = FakeCa().pair(dns("*.a.example"))


class Slots:
    """The slot of each certificate: one lock for all."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def slot(self, name: str) -> Any:  # noqa: ANN401 - an iterator
        assert name == "web"
        async with self.lock:
            yield


async def test_pair_is_recorded_once_no_pass_works_on_the_certificate(state: State) -> None:
    slots = Slots()
    deliver = ExternalRequests(state.attempts, slots.slot, FakeClock()).handlers[DELIVER]
    async with slots.lock:
        asked = asyncio.ensure_future(deliver(to_request("web", PAIR), remote.ignore))
        await asyncio.sleep(0)
        assert await state.attempts.read_attempt("web") is None
    assert await asked == {"name": "web"}
    recorded = await state.attempts.read_attempt("web")
    assert recorded is not None
    assert recorded.chain_pem == make_attempt("web", PAIR).chain_pem
    assert recorded.under_way == make_attempt("web", PAIR).under_way


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"name": "web"}, DaemonError),
        (to_request("web", PAIR) | {"chain": 5}, DaemonError),
        (to_request("web", PAIR) | {"key": "no key"}, SettingsError),
    ],
)
async def test_unusable_request_records_nothing(state: State, request_: dict[str, Any], error: type[Exception]) -> None:
    deliver = ExternalRequests(state.attempts, Slots().slot, FakeClock()).handlers[DELIVER]
    with pytest.raises(error):
        await deliver(request_, remote.ignore)
    assert await state.attempts.under_way() == {}
