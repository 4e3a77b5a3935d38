"""Fixtures: an ACME server that misbehaves on demand, and our account there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.keys.accounts import AccountFolder


@pytest.fixture
async def server() -> AsyncIterator[AcmeServer]:
    async with AcmeServer() as running:
        yield running


# Nothing listens on this port.
AWAY = "http://127.0.0.1:1/directory"


def authority(directory_url: str, accounts: AccountFolder, clock: FakeClock, **options: Any) -> AcmeAuthority:  # noqa: ANN401
    """Return a CA named `a CA`, which the caller closes."""
    found = CaOptions("a CA", directory_url, **options)
    return AcmeAuthority(found, accounts, clock, version="1", thread_count=4)


@pytest.fixture
def accounts(folder: Path, server: AcmeServer) -> AccountFolder:
    urls = (server.directory_url, AWAY)
    made = AccountFolder(folder / "issuer", urls, contact=("mailto:a@example.org",), terms_of_service_agreed=True)
    made.make_keys()
    return made


@pytest.fixture
async def ca(server: AcmeServer, accounts: AccountFolder, clock: FakeClock) -> AsyncIterator[AcmeAuthority]:
    made = authority(server.directory_url, accounts, clock)
    yield made
    made.close()
