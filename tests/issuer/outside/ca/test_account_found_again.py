"""Accounts that a CA reports as forgotten in words of its own, or that do not belong to our key; contacts; ends."""

from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import AcmeServer, Canned, problem
from tests.fakes_deliver import dns
from tests.issuer.outside.ca.test_external import key_file
from tests.issuer.outside.conftest import authority
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.account import AccountAtCa
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.options import ExternalAccount
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord
from wellkeeper_node.errors import Retry

A = dns("a.example")
FORGOTTEN = problem(400, "accountDoesNotExist")


@pytest.fixture
def known(server: AcmeServer, accounts: AccountFolder) -> AccountRecord:
    """An account on record, other than the one that the CA has or makes for our key."""
    record = AccountRecord(server.directory_url, server.url("/account/7"))
    accounts.record(record)
    return record


def lookups(server: AcmeServer) -> list[bool]:
    """Return for each newAccount if it only looked for an account."""
    return ["onlyReturnExisting" in one.payload for one in server.asked if one.path == "/account"]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.usefixtures("known")
async def test_account_forgotten_in_other_words_is_registered_again(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder, status: int
) -> None:
    server.next["/order"].append(problem(status, "unauthorized", "Account not found."))
    server.next["/account"].append(FORGOTTEN)
    assert (await ca.new_order([A], None, None)).url == server.url("/order/1")
    assert lookups(server) == [True, False]
    registered = AccountRecord(server.directory_url, server.url("/account/1"), agreed_terms=server.url("/terms"))
    assert accounts.read(server.directory_url) == registered


@pytest.mark.usefixtures("known")
async def test_account_forgotten_by_a_ca_for_customers_only_is_registered_again(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock, folder: Path
) -> None:
    external = ExternalAccount("kid-7", key_file(folder))
    async with authority(server.directory_url, accounts, clock, external_account=external) as ca:
        server.offer({"externalAccountRequired": True})
        for path in ("/order", "/account"):
            server.next[path].append(problem(403, "unauthorized", "invalid eab credentials"))
        assert (await ca.new_order([A], None, None)).url == server.url("/order/1")
    assert lookups(server) == [True, False]


@pytest.mark.parametrize(
    ("name", "detail"), [("malformed", "JWS verification error"), ("unauthorized", "Invalid signature")]
)
@pytest.mark.usefixtures("known")
async def test_account_that_belongs_to_another_key_is_replaced_by_the_one_of_ours(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder, name: str, detail: str
) -> None:
    server.next["/order"].append(problem(400, name, detail))
    server.answers["/account"] = Canned(200, {"status": "valid"}, {"Location": server.url("/account/1")})
    await ca.new_order([A], None, None)
    assert lookups(server) == [True]
    assert [one.kid for one in server.asked if one.path == "/order"] == [
        server.url("/account/7"),
        server.url("/account/1"),
    ]
    assert accounts.read(server.directory_url) == AccountRecord(server.directory_url, server.url("/account/1"))


async def test_refusal_that_is_not_about_the_account_is_looked_into_once_an_hour(
    ca: AcmeAuthority, server: AcmeServer, clock: FakeClock
) -> None:
    await ca.account_url()
    server.answers["/order"] = problem(403, "unauthorized", "this name is not yours")
    for _ in range(3):
        with pytest.raises(OrderError, match="this name is not yours"):
            await ca.new_order([A], None, None)
    assert lookups(server) == [False, True]
    clock.advance(3600)
    with pytest.raises(OrderError, match="this name is not yours"):
        await ca.new_order([A], None, None)
    assert lookups(server) == [False, True, True]


@pytest.mark.usefixtures("known")
async def test_lookup_that_the_ca_refuses_changes_nothing(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder, known: AccountRecord
) -> None:
    server.next["/order"].append(problem(403, "unauthorized", "no"))
    server.next["/account"].append(problem(500, "serverInternal"))
    with pytest.raises(OrderError, match=r"unauthorized \(HTTP 403\): no"):
        await ca.new_order([A], None, None)
    assert accounts.read(server.directory_url) == known


async def test_ca_that_wants_a_contact_leads_to_the_setting(server: AcmeServer, folder: Path, clock: FakeClock) -> None:
    accounts = AccountFolder(folder / "bare", (server.directory_url,), terms_of_service_agreed=True)
    accounts.make_keys()
    server.next["/account"].append(problem(400, "malformed", "Contact information is missing"))
    async with authority(server.directory_url, accounts, clock) as ca:
        with pytest.raises(OrderError, match="Contact information is missing") as caught:
            await ca.new_order([A], None, None)
    assert caught.value.remedy.startswith('Set contact = ["mailto:you@example.org"] in the settings')
    assert caught.value.retry is Retry.NEVER


@pytest.mark.usefixtures("known")
async def test_account_that_the_ca_does_not_deactivate_stays_in_use(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder, known: AccountRecord
) -> None:
    server.answers["/account/7"] = Canned(200, {"status": "valid"})
    with pytest.raises(OrderError, match=r"did not deactivate the account .*: it replied that the account is valid\."):
        await AccountAtCa(ca.connection).deactivate()
    assert accounts.read(server.directory_url) == known
    server.answers["/account/7"] = Canned(200, {"status": "deactivated"})
    await AccountAtCa(ca.connection).deactivate()
    record = accounts.read(server.directory_url)
    assert record is not None
    assert record.is_deactivated
