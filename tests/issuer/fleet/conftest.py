"""Fixtures of an issuer with two nodes, whose wall clock stands still unless a test moves it."""

import asyncio
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.issuer.fleet.played import Played
from tests.issuer.fleet.restores import Restoring


class SteadyClock(FakeClock):
    """Sleeps let no date pass: loops that only wait would reach the end of every certificate while the disk works."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        self.step(-seconds)
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return SteadyClock()


@pytest.fixture
async def played(folder: Path, clock: FakeClock) -> Played:
    """Return one with the certificate `web` installed, before its fleet is opened."""
    made = Played(folder, clock)
    await made.install()
    await made.join(made.web2, made.web3)
    return made


@pytest.fixture
async def restoring(played: Played) -> Restoring:
    made = Restoring(played, played.folder / "restored")
    await made.lose()
    return made
