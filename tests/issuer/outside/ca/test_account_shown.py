"""The state of our account at a CA, which is read without registering or recording anything."""

import pytest

from tests.fakes_acme import AcmeServer, Canned, problem
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.account import AccountAtCa, AccountState
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord

FORGOTTEN = problem(400, "accountDoesNotExist")
IN_OTHER_WORDS = problem(403, "unauthorized", "Account not found.")


@pytest.fixture(autouse=True)
def known(server: AcmeServer, accounts: AccountFolder) -> AccountRecord:
    """Record an account, other than the one that the CA makes for our key."""
    record = AccountRecord(server.directory_url, server.url("/account/7"))
    accounts.record(record)
    return record


def registrations(server: AcmeServer) -> int:
    return sum("onlyReturnExisting" not in one.payload for one in server.asked if one.path == "/account")


@pytest.mark.parametrize("words", [FORGOTTEN, IN_OTHER_WORDS], ids=["accountDoesNotExist", "unauthorized"])
async def test_forgotten_account_is_not_registered_again(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder, known: AccountRecord, words: Canned
) -> None:
    server.next["/account/7"].append(words)
    server.next["/account"].append(FORGOTTEN)
    assert await AccountAtCa(ca.connection).state() is None
    assert registrations(server) == 0
    assert accounts.read(server.directory_url) == known


async def test_other_account_of_our_key_is_shown_and_not_recorded(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder, known: AccountRecord
) -> None:
    server.next["/account/7"].append(IN_OTHER_WORDS)
    server.answers["/account/1"] = Canned(200, {"status": "valid"})
    assert await AccountAtCa(ca.connection).state() == AccountState(server.url("/account/1"), "valid", ())
    assert registrations(server) == 0
    assert accounts.read(server.directory_url) == known


async def test_account_that_the_ca_does_not_show_is_an_error(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/account/7"].append(IN_OTHER_WORDS)
    server.next["/account"].append(Canned(200, {"status": "valid"}, {"Location": server.url("/account/7")}))
    with pytest.raises(OrderError, match="Account not found"):
        await AccountAtCa(ca.connection).state()
    server.next["/account/7"].append(problem(500, "serverInternal", "busy"))
    with pytest.raises(OrderError, match="busy"):
        await AccountAtCa(ca.connection).state()
