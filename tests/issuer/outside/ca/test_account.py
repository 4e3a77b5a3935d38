"""The CA over HTTP: its directory, and our account there."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from josepy.b64 import b64encode

from tests.fakes import FakeClock
from tests.fakes_acme import CUT, AcmeServer, Canned, problem
from tests.fakes_deliver import dns
from tests.issuer.outside.conftest import AWAY, authority
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.keys.accounts import AccountFolder, AccountRecord
from wellkeeper_issuer.outside.keys.key_files import account_thumbprint
from wellkeeper_node.errors import Retry

A = dns("a.example")
PAGE = Canned(200, "<html>maintenance</html>", {"Content-Type": "text/html"})


async def test_account_is_registered_on_the_first_call_and_recorded(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder
) -> None:
    await ca.new_order([A], None, None)
    await ca.read_order(server.url("/order/1"))
    (made,) = [one for one in server.asked if one.path == "/account"]
    assert made.payload == {"contact": ["mailto:a@example.org"], "termsOfServiceAgreed": True}
    assert made.kid is None
    record = accounts.read(server.directory_url)
    assert record == AccountRecord(server.directory_url, server.url("/account/1"), agreed_terms=server.url("/terms"))
    assert {one.kid for one in server.asked if one.path.startswith("/order")} == {server.url("/account/1")}


async def test_recorded_account_is_used_without_a_request(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder
) -> None:
    accounts.record(AccountRecord(server.directory_url, server.url("/account/7")))
    assert await ca.account_url() == server.url("/account/7")
    assert server.asked == []
    await ca.new_order([A], None, None)
    assert [one.kid for one in server.asked if one.method == "POST"] == [server.url("/account/7")]


async def test_unaccepted_terms_of_service_are_named(server: AcmeServer, folder: Path, clock: FakeClock) -> None:
    accounts = AccountFolder(folder / "issuer", (server.directory_url,))
    accounts.make_keys()
    async with authority(server.directory_url, accounts, clock) as ca:
        with pytest.raises(
            OrderError, match=rf"terms of service at {server.url('/terms')}\. Read them, then set"
        ) as caught:
            await ca.new_order([A], None, None)
        assert caught.value.retry is Retry.NEVER
        assert "/account" not in [one.path for one in server.asked]


async def test_forgotten_account_is_registered_again_once_for_all_waiting_requests(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder
) -> None:
    accounts.record(AccountRecord(server.directory_url, server.url("/account/7")))
    server.next["/order"].extend([problem(400, "accountDoesNotExist")] * 3)
    all_asked = asyncio.Barrier(3)

    async def wait_for_all() -> None:
        if not server.next["/order"]:
            server.before.pop("/order", None)
        await all_asked.wait()

    server.before["/order"] = wait_for_all  # or a quick request is repeated and gets the reply meant for a slow one
    found = await asyncio.gather(*(ca.new_order([A], None, None) for _ in range(3)))
    assert [one.url for one in found] == [server.url("/order/1")] * 3
    assert [one.kid for one in server.asked if one.path == "/account"] == [None]
    record = accounts.read(server.directory_url)
    assert record == AccountRecord(server.directory_url, server.url("/account/1"), agreed_terms=server.url("/terms"))


async def test_account_that_the_ca_keeps_forgetting_is_not_registered_endlessly(
    ca: AcmeAuthority, server: AcmeServer, clock: FakeClock
) -> None:
    server.answers["/order"] = problem(400, "accountDoesNotExist")
    for _ in range(3):
        with pytest.raises(OrderError, match=r"refused the order for a.example: accountDoesNotExist") as caught:
            await ca.new_order([A], None, None)
    assert caught.value.retry is Retry.LATER
    assert [one.kid for one in server.asked if one.path == "/account"] == [None] * 2
    clock.advance(3600)
    with pytest.raises(OrderError):
        await ca.new_order([A], None, None)
    assert [one.kid for one in server.asked if one.path == "/account"] == [None] * 3


async def test_reads_continue_with_the_newly_registered_account(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/order/1"].append(problem(400, "accountDoesNotExist"))
    assert await ca.read_order(server.url("/order/1")) is not None


async def test_deactivated_account_is_reported_with_the_remedy(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder
) -> None:
    accounts.record(AccountRecord(server.directory_url, server.url("/account/7"), is_deactivated=True))
    with pytest.raises(OrderError, match="our account at the CA a CA was permanently deactivated") as caught:
        await ca.new_order([A], None, None)
    assert str(accounts.key_path(server.directory_url)) in str(caught.value)
    assert caught.value.retry is Retry.NEVER
    assert not [one for one in server.asked if one.method == "POST"]


async def test_account_deactivated_by_the_ca_is_reported(ca: AcmeAuthority, server: AcmeServer) -> None:
    detail = 'Account is not valid, has status "deactivated"'
    server.next["/order"].append(problem(403, "unauthorized", detail))
    with pytest.raises(OrderError, match=r"Run 'wellkeeper account show'") as caught:
        await ca.new_order([A], None, None)
    assert caught.value.retry is Retry.NEVER


async def test_key_replaced_by_another_process_is_read_again(
    ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder
) -> None:
    await ca.new_order([A], None, None)
    before = ca.thumbprint
    following = accounts.make_next_account_key(server.directory_url)
    accounts.take_next_account_key(server.directory_url)
    await ca.new_order([A], None, None)
    assert ca.thumbprint == account_thumbprint(following) != before
    assert b64encode(ca.connection.key.thumbprint(hash_function=SHA256)).decode() == ca.thumbprint


def test_thumbprint_follows_rfc_7638(ca: AcmeAuthority) -> None:
    key = ca.connection.key
    assert ca.thumbprint == b64encode(key.thumbprint(hash_function=SHA256)).decode()
    assert re.fullmatch("[A-Za-z0-9_-]{43}", ca.thumbprint)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (PAGE, "cannot read the CA a CA's reply to the request for its directory http"),
        (Canned(200, []), "cannot read the CA a CA's reply to the request for its directory http"),
        (
            Canned(200, {"newNonce": "x", "newAccount": "y"}),
            "reply to the request for its directory http.*: directory member 'newOrder' must be a URL",
        ),
        (Canned(200, {"newNonce": 1, "newAccount": "y", "newOrder": "z"}), "member 'newNonce' must be a URL"),
        (
            Canned(404, "no such page"),
            r"refused the request for its directory http.*: about:blank \(HTTP 404\): .*: no such page",
        ),
        (CUT, "no answer from the CA a CA to the request for its directory http"),
    ],
    ids=["page", "list", "half", "numbers", "404", "cut"],
)
async def test_invalid_directory_is_reported(
    ca: AcmeAuthority, server: AcmeServer, clock: FakeClock, answer: Canned, words: str
) -> None:
    server.next["/directory"].extend([answer] * (2 if answer is CUT else 1))  # aiohttp repeats a GET once
    with pytest.raises(OrderError, match=words):
        await ca.new_order([A], None, None)
    clock.advance(20)
    await ca.new_order([A], None, None)


async def test_ca_that_did_not_answer_is_asked_again_without_waiting(
    ca: AcmeAuthority, server: AcmeServer, clock: FakeClock
) -> None:
    server.next["/directory"].extend([CUT, CUT])  # aiohttp repeats a GET once
    with pytest.raises(OrderError, match="no answer from the CA"):
        await ca.new_order([A], None, None)
    clock.advance(0.1)
    await ca.new_order([A], None, None)


async def test_unreachable_ca_is_asked_once_for_all_waiting_requests(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/directory"].extend([problem(503, "serverInternal", Retry_After="90000")] * 20)
    found = await asyncio.gather(*(ca.new_order([A], None, None) for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in found} == {OrderError}
    assert len({str(error) for error in found}) == 1
    assert [one.path for one in server.asked] == ["/directory"]


async def test_refused_registration_is_sent_once_for_all_waiting_requests(
    ca: AcmeAuthority, server: AcmeServer
) -> None:
    server.next["/account"].extend([problem(429, "rateLimited", Retry_After="60")] * 20)
    found = await asyncio.gather(*(ca.new_order([A], None, None) for _ in range(20)), return_exceptions=True)
    assert {getattr(error, "retry_at", None) for error in found} == {FakeClock().now() + timedelta(seconds=60)}
    assert len([one for one in server.asked if one.path == "/account"]) == 1


async def test_directory_is_read_again_after_a_day(ca: AcmeAuthority, server: AcmeServer, clock: FakeClock) -> None:
    for seconds in (0, 86_399, 1, 10):
        clock.advance(seconds)
        await ca.new_order([A], None, None)
    assert len([one for one in server.asked if one.path == "/directory"]) == 2


async def test_unreachable_directory_is_reported(accounts: AccountFolder, clock: FakeClock) -> None:
    async with authority(AWAY, accounts, clock) as ca:
        with pytest.raises(
            OrderError, match=r"no answer from the CA a CA to .*: Connection refused\. Check network, proxy and"
        ):
            await ca.new_order([A], None, None)
        with pytest.raises(OrderError, match=r"no answer from the CA a CA to .*: Connection refused"):
            await ca.read_order(f"{AWAY}/order/1")
        assert clock.slept == []


async def test_missing_bundle_is_named(accounts: AccountFolder, clock: FakeClock) -> None:
    url = AWAY.replace("http:", "https:")
    secure = AccountFolder(accounts.key_path(AWAY).parent.parent, (url,))
    secure.make_keys()
    async with authority(url, secure, clock, bundle="/nowhere/ca.pem") as ca:
        with pytest.raises(
            OrderError,
            match=r"cannot send the request for its directory .*: .*'/nowhere/ca\.pem'\. Check that ca_bundle",
        ):
            await ca.new_order([A], None, None)
