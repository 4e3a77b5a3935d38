"""An ACME server that misbehaves on demand, and our account at it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from issuer.outside.accounts import AccountFolder
from issuer.outside.ca import AcmeAuthority
from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer


@pytest.fixture
async def server() -> AsyncIterator[AcmeServer]:
    async with AcmeServer() as running:
        yield running


@pytest.fixture
def accounts(folder: Path) -> AccountFolder:
    made = AccountFolder(folder / "issuer", contact=("mailto:a@example.org",), terms_of_service_agreed=True)
    made.make_keys()
    return made


@pytest.fixture
async def ca(server: AcmeServer, accounts: AccountFolder, clock: FakeClock) -> AsyncIterator[AcmeAuthority]:
    authority = AcmeAuthority(server.directory_url, accounts, clock, ca_bundle=None, version="1")
    yield authority
    authority.close()
