"""The CA over HTTP: its directory, and our account there."""

import re
from pathlib import Path

import pytest

from issuer.errors import OrderError, Retry
from issuer.outside.accounts import AccountFolder
from issuer.outside.ca import AcmeAuthority, account_thumbprint
from tests.fakes import FakeClock
from tests.fakes_acme import CUT, AcmeServer, Canned, problem
from tests.fakes_deliver import dns

A = dns("a.example")
PAGE = Canned(200, "<html>maintenance</html>", {"Content-Type": "text/html"})


async def test_account_is_made_with_the_first_call_and_remembered(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder
) -> None:
    await ca.new_order([A], None, None)
    await ca.read_order(server.url("/order/1"))
    (made,) = [one for one in server.asked if one.path == "/account"]
    assert made.payload == {"contact": ["mailto:a@example.org"], "termsOfServiceAgreed": True}
    assert made.kid is None
    assert accounts.read_url(server.directory_url) == server.url("/account/1")
    assert {one.kid for one in server.asked if one.path.startswith("/order")} == {server.url("/account/1")}


async def test_account_on_record_is_not_asked_for(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder
) -> None:
    accounts.record_url(server.directory_url, server.url("/account/7"))
    await ca.new_order([A], None, None)
    assert [one.kid for one in server.asked if one.method == "POST"] == [server.url("/account/7")]


async def test_terms_that_nobody_agreed_to_are_named(server: AcmeServer, folder: Path, clock: FakeClock) -> None:
    accounts = AccountFolder(folder / "issuer")
    accounts.make_keys()
    ca = AcmeAuthority(server.directory_url, accounts, clock, ca_bundle=None, version="1")
    with pytest.raises(OrderError, match=rf"terms of service at {server.url('/terms')}; read them, then set") as caught:
        await ca.new_order([A], None, None)
    assert caught.value.retry is Retry.NEVER
    assert "/account" not in [one.path for one in server.asked]
    ca.close()


async def test_account_that_the_ca_forgot_is_made_again_by_the_next_run(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder
) -> None:
    accounts.record_url(server.directory_url, server.url("/account/7"))
    server.next["/order"].append(problem(400, "accountDoesNotExist"))
    with pytest.raises(OrderError, match="run renew again, it registers the account anew"):
        await ca.new_order([A], None, None)
    assert (await ca.new_order([A], None, None)).url == server.url("/order/1")
    assert accounts.read_url(server.directory_url) == server.url("/account/1")


async def test_new_account_is_asked_for_with_the_bare_key_on_every_thread(
    ca: AcmeAuthority, server: AcmeServer
) -> None:
    for _ in range(8):
        # Three calls a round, four threads in turn.
        await ca.read_order(server.url("/order/1"))
        server.next["/order"].append(problem(400, "accountDoesNotExist"))
        with pytest.raises(OrderError, match="registers the account anew"):
            await ca.new_order([A], None, None)
    assert [one.kid for one in server.asked if one.path == "/account"] == [None] * 8


def test_thumbprint_is_the_one_that_responders_are_told(ca: AcmeAuthority, accounts: AccountFolder) -> None:
    assert ca.thumbprint == account_thumbprint(accounts.account_key)
    assert re.fullmatch("[A-Za-z0-9_-]{43}", ca.thumbprint)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (PAGE, "reading the directory http.*: the CA's reply cannot be understood"),
        (Canned(200, []), "reading the directory http.*: the CA's reply cannot be understood"),
        (Canned(200, {"newNonce": "x", "newAccount": "y"}), "cannot be understood: KeyError: .*newOrder"),
        (Canned(200, {"newNonce": 1, "newAccount": "y", "newOrder": "z"}), "member 'newNonce' must be a URL"),
        (Canned(404, "no such page"), r"the CA says about:blank \(HTTP 404\): .*: no such page"),
        (CUT, "reading the directory http.*: no answer from the CA"),
    ],
    ids=["page", "list", "half", "numbers", "404", "cut"],
)
async def test_directory_that_is_none(ca: AcmeAuthority, server: AcmeServer, answer: Canned, words: str) -> None:
    server.next["/directory"].append(answer)
    with pytest.raises(OrderError, match=words):
        await ca.new_order([A], None, None)
    await ca.new_order([A], None, None)


async def test_nobody_at_the_directory(accounts: AccountFolder, clock: FakeClock) -> None:
    ca = AcmeAuthority("http://127.0.0.1:1/directory", accounts, clock, ca_bundle=None, version="1")
    with pytest.raises(
        OrderError, match=r"no answer from the CA: ConnectionRefusedError: .*; check network, proxy and"
    ):
        await ca.new_order([A], None, None)
    ca.close()


async def test_missing_bundle_is_named(accounts: AccountFolder, clock: FakeClock) -> None:
    ca = AcmeAuthority("https://127.0.0.1:1/directory", accounts, clock, ca_bundle="/nowhere/ca.pem", version="1")
    with pytest.raises(
        OrderError,
        match=r"reading the directory .*: .*/nowhere/ca\.pem; is ca_bundle a PEM file that this user may read\?",
    ):
        await ca.new_order([A], None, None)
    ca.close()
