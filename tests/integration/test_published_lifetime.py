"""Expiry of tokens that a killed issuer left published."""

import signal
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

from stand.host import Host, running_host
from tests.integration.under_way import Gate, renewing
from tests.responder.http import ask
from wellkeeper_client import trust_file, wire
from wellkeeper_responder.app import Responder
from wellkeeper_responder.settings import Settings, UnixAddress

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
GATE_ADDRESS: Final = "127.0.0.9"


class AheadClock:
    """This machine's clocks plus the time that a test lets pass."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead_seconds)

    def timestamp(self) -> float:
        return self.now().timestamp()

    def monotonic(self) -> float:
        return monotonic() + self.ahead_seconds


async def settings_in_place_of(host: Host) -> Settings:
    """Return the settings of the host's responder after stopping it."""
    await host.responder.process.stop()
    return Settings(
        trust=trust_file.read(host.issuer.trust_path),
        public=(UnixAddress(host.responder.public_socket),),
        control=(UnixAddress(host.responder.control_socket),),
    )


async def test_token_of_a_killed_issuer_expires_with_its_lifetime(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.dns.set_default_address(GATE_ADDRESS)
        settings, clock = await settings_in_place_of(host), AheadClock()
        async with Responder(settings, clock), Gate((GATE_ADDRESS, host.http[1]), host.http) as gate:
            async with renewing(host.issuer) as run:
                await gate.knocked()
                await run.end(signal.SIGKILL)
            control, public = settings.control[0], settings.public[0]
            fetches = (await ask(control, "GET", wire.FETCHES_PATH)).json()["fetches"]
            (fetch,) = [one for one in fetches if one["status"] == HTTPStatus.OK]
            path = wire.CHALLENGE_PREFIX + fetch["token"]
            assert (await ask(public, "GET", path)).status == 200
            clock.ahead_seconds = wire.MAX_LIFETIME_SECONDS
            assert (await ask(public, "GET", path)).status == 404
            assert (await ask(control, "GET", wire.STATUS_PATH)).json()["counts"]["tokens"] == 0
