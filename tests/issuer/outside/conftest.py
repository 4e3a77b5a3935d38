"""Fixtures: an ACME server that misbehaves on demand, and our account there."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer
from tests.opened_cas import opened_ca
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.options import CaOptions
from wellkeeper_issuer.outside.ca.session import Limits
from wellkeeper_issuer.outside.keys.accounts import AccountFolder


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no proxy of this machine be asked for the servers of these tests, which are in this process."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
async def server() -> AsyncIterator[AcmeServer]:
    async with AcmeServer() as running:
        yield running


# Nothing listens on this port.
AWAY = "http://127.0.0.1:1/directory"


def authority(
    directory_url: str,
    accounts: AccountFolder,
    clock: FakeClock,
    limits: Limits | None = None,
    **options: Any,  # noqa: ANN401 - what CaOptions takes
) -> AbstractAsyncContextManager[AcmeAuthority]:
    """Open the CA `a CA`; plain http is allowed."""
    found = CaOptions("a CA", directory_url, **{"allow_http": True, **options})
    return opened_ca(found, accounts, clock, limits)


@pytest.fixture
def accounts(folder: Path, server: AcmeServer) -> AccountFolder:
    urls = (server.directory_url, AWAY)
    made = AccountFolder(folder / "issuer", urls, contact=("mailto:a@example.org",), terms_of_service_agreed=True)
    made.make_keys()
    return made


@pytest.fixture
async def ca(server: AcmeServer, accounts: AccountFolder, clock: FakeClock) -> AsyncIterator[AcmeAuthority]:
    async with authority(server.directory_url, accounts, clock) as made:
        yield made
