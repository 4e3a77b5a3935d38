"""Fixtures for what is remembered about a CA: a ledger in memory, and limits that use it."""

import pytest

from tests.fakes import FakeClock
from tests.fakes_state import FakeLedger
from tests.issuer.obtain.limited import registered_domain
from wellkeeper_issuer.obtain.limits import Limits


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def limits(ledger: FakeLedger, clock: FakeClock) -> Limits:
    return Limits(ledger, clock, registered_domain)
