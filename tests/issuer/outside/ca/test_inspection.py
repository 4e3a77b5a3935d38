"""Looks at a CA and at our account there, which change nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer, Canned, problem
from tests.issuer.outside.conftest import authority
from tests.node.probes.test_probes import tls_server
from wellkeeper_issuer.errors import OrderError, SettingsError
from wellkeeper_issuer.outside.ca.account import AccountAtCa
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.inspection import CaInspector
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord
from wellkeeper_issuer.ports.inspection import Account, Offer
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.model import Identifier, IdentifierType


@pytest.fixture
def inspector(ca: AcmeAuthority) -> CaInspector:
    return CaInspector(ca.connection)


@pytest.fixture
def url(server: AcmeServer, accounts: AccountFolder) -> str:
    """Record an account, and return its URL."""
    url = server.url("/account/7")
    accounts.record(AccountRecord(server.directory_url, url, agreed_terms="https://ca.example/terms/1"))
    server.answers["/account/7"] = Canned(200, {"status": "valid"})
    return url


async def test_directory_shows_terms_profiles_names_and_clock(server: AcmeServer, inspector: CaInspector) -> None:
    server.offer({"profiles": {"short": "6 days"}, "caaIdentities": ["ca.example"]})
    directory = server.answers["/directory"]
    server.answers["/directory"] = Canned(200, directory.body, {"Date": "Sun, 01 Mar 2026 12:01:30 GMT"})
    assert await inspector.offer() == Offer(server.url("/terms"), {"short": "6 days"}, ("ca.example",), 90)


async def test_account_is_read_with_its_status(server: AcmeServer, inspector: CaInspector, url: str) -> None:
    assert await inspector.account() == Account(url, "valid", "https://ca.example/terms/1")
    assert [(one.path, one.payload, one.kid) for one in server.asked if one.method == "POST"] == [
        ("/account/7", None, url)
    ]


async def test_missing_account_is_fine_and_not_registered(server: AcmeServer, inspector: CaInspector) -> None:
    assert await inspector.account() == Account()
    assert not [one for one in server.asked if one.method == "POST"]


async def test_missing_account_key_is_reported(
    server: AcmeServer, inspector: CaInspector, accounts: AccountFolder
) -> None:
    accounts.key_path(server.directory_url).unlink()
    with pytest.raises(SettingsError, match="Run 'wellkeeper init' to create it"):
        await inspector.account()


async def test_registration_that_would_fail_is_reported(server: AcmeServer, folder: Path, clock: FakeClock) -> None:
    accounts = AccountFolder(folder / "issuer", (server.directory_url,))
    accounts.make_keys()
    async with authority(server.directory_url, accounts, clock) as ca:
        with pytest.raises(OrderError, match="requires agreement to its terms"):
            await CaInspector(ca.connection).account()


async def test_account_that_the_ca_forgot_is_not_registered_again(
    server: AcmeServer, inspector: CaInspector, accounts: AccountFolder, url: str
) -> None:
    server.answers["/account/7"] = problem(400, "accountDoesNotExist")
    with pytest.raises(OrderError, match=r"Run 'wellkeeper account register --ca a CA' if the CA has lost it\."):
        await inspector.account()
    assert "/account" not in [one.path for one in server.asked]
    record = accounts.read(server.directory_url)
    assert record is not None
    assert record.account_url == url


async def test_terms_are_recorded_again_with_an_update(
    ca: AcmeAuthority, server: AcmeServer, inspector: CaInspector, url: str
) -> None:
    await AccountAtCa(ca.connection).update(())
    assert await inspector.account() == Account(url, "valid", server.url("/terms"))


@pytest.mark.usefixtures("url")
async def test_other_refusals_are_reported_in_the_cas_words(server: AcmeServer, inspector: CaInspector) -> None:
    server.answers["/account/7"] = problem(403, "unauthorized", "no such key")
    with pytest.raises(OrderError, match=r"the CA a CA refused the request to read the account: .* no such key"):
        await inspector.account()


@pytest.mark.usefixtures("url")
async def test_deactivated_account_has_the_way_to_another_one(
    server: AcmeServer, inspector: CaInspector, accounts: AccountFolder
) -> None:
    server.answers["/account/7"] = Canned(200, {"status": "deactivated"})
    with pytest.raises(OrderError, match="permanently deactivated") as caught:
        await inspector.account()
    assert str(accounts.key_path(server.directory_url)) in caught.value.remedy


@pytest.mark.usefixtures("url")
async def test_reply_without_a_status_is_refused(server: AcmeServer, inspector: CaInspector) -> None:
    server.answers["/account/7"] = Canned(200, {"status": 1})
    with pytest.raises(OrderError, match="account member 'status' must be a string"):
        await inspector.account()


@pytest.mark.parametrize(("days", "words"), [(9, "not yet valid"), (-9, "expired")])
async def test_ca_whose_certificate_is_for_another_time_asks_for_the_clock(
    folder: Path, clock: FakeClock, days: int, words: str
) -> None:
    pair = make_self_signed([Identifier(IdentifierType.IP, "127.0.0.1")], 1, datetime.now(UTC) + timedelta(days))
    bundle = folder / "root.pem"
    bundle.write_bytes(pair.chain_pem)
    async with tls_server(folder, pair.chain_pem, pair.certificate_key_pem) as port:
        url = f"https://127.0.0.1:{port}/directory"
        accounts = AccountFolder(folder / "issuer", (url,))
        accounts.make_keys()
        async with authority(url, accounts, clock, bundle=str(bundle)) as ca:
            with pytest.raises(OrderError, match=f"{words}.*this host's clock says 2026-03-01; is it right") as caught:
                await CaInspector(ca.connection).offer()
    assert caught.value.remedy == "Synchronize the clock by NTP: 'timedatectl set-ntp true'."
