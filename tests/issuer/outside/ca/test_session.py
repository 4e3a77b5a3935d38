"""The HTTP exchange with a CA: bounds of time and size, redirects, proxies of the environment, cancellation."""

import asyncio
import gzip
import json

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_acme import AcmeServer, Canned, problem
from tests.fakes_deliver import dns
from tests.issuer.outside.conftest import authority
from tests.processes import with_more_time
from wellkeeper_issuer.errors import OrderError, SettingsError
from wellkeeper_issuer.model import Challenge, Status
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.session import CaSession, Limits
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_node.errors import Retry

A = dns("a.example")
DEEP = "[" * 10_000 + "]" * 10_000


def nested_problem(depth: int) -> str:
    body: dict[str, object] = {"type": "about:blank", "detail": "the innermost"}
    for _ in range(depth):
        body = {"type": "about:blank", "detail": "x", "subproblems": [body]}
    return json.dumps(body)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Canned(201, DEEP, {"Location": "/order/1"}), "its JSON is nested too deeply"),
        (Canned(201, f'{{"a": {DEEP[:10_000]}{DEEP[10_000:]}}}'), "it has no Location header"),
        (Canned(201, "[" * 900 + "]" * 900, {"Location": "/order/1"}), "its JSON is nested too deeply"),
        (Canned(201, '{"status": 1e999}', {"Location": "/order/1"}), "the number 1e999 is out of range"),
        (Canned(201, '{"status": NaN}', {"Location": "/order/1"}), "the number NaN is out of range"),
        (Canned(201, '{"status": ' + "1" * 5_000 + "}", {"Location": "/order/1"}), "not JSON: Exceeds the limit"),
        (Canned(201, {"authorizations": [], "finalize": {}}, {"Location": "/o"}), "must be a string"),
        (Canned(201, {"authorizations": [{}], "finalize": "x"}, {"Location": "/o"}), "must be a list of URLs"),
        (Canned(400, DEEP), r"\(HTTP 400\): the reply is not a problem document: \[\[\["),
        (Canned(400, nested_problem(400)), "the reply is not a problem document"),
        (Canned(400, {"type": [], "detail": {}, "identifier": 5, "status": 10**400}), r"\[\] \(HTTP 400\): \{\}"),
    ],
    ids=[
        "depth of 10 000", "no location", "depth of 900", "infinite number", "NaN", "5 000 digits", "object as a URL",
        "objects as URLs", "deep problem", "400 nested subproblems", "wrong types in a problem",
    ],
)  # fmt: skip
async def test_reply_that_makes_no_sense_is_an_order_error_to_retry(
    ca: AcmeAuthority, server: AcmeServer, answer: Canned, words: str
) -> None:
    server.next["/order"].append(answer)
    with pytest.raises(OrderError, match=words) as caught:
        await ca.new_order([A], None, None)
    assert caught.value.retry is Retry.SOON
    assert len(str(caught.value)) < 1_000


async def test_deep_directory_is_an_order_error(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/directory"].append(Canned(200, DEEP))
    with pytest.raises(OrderError, match="its JSON is nested too deeply"):
        await ca.account_url()


@pytest.mark.parametrize("meta", [5, [], "x", {"termsOfService": 5, "profiles": 7, "caaIdentities": 1}, None], ids=str)
async def test_directory_with_another_meta_is_an_order_error_or_has_none(
    ca: AcmeAuthority, server: AcmeServer, meta: object
) -> None:
    server.answers["/directory"].body["meta"] = meta
    try:
        assert (await ca.abilities()).profiles == {}
    except OrderError as error:
        assert "directory member 'meta' is not valid" in str(error)  # noqa: PT017 - either is right


async def test_subproblems_are_bounded(ca: AcmeAuthority, server: AcmeServer) -> None:
    refusal = problem(400, "rejectedIdentifier")
    refusal.body["subproblems"] = [{"type": "about:blank", "detail": "x"}] * 9_000
    server.next["/order"].append(refusal)
    with pytest.raises(OrderError) as caught:
        await ca.new_order([A], None, None)
    assert caught.value.problem is not None
    assert len(caught.value.problem.subproblems) == 100


async def test_reply_that_unpacks_to_gigabytes_is_not_unpacked(ca: AcmeAuthority, server: AcmeServer) -> None:
    packed = gzip.compress(b" " * 100_000_000).decode("latin-1")
    usual = server.answers["/order"]
    server.next["/order"].append(Canned(201, packed, {**usual.headers, "Content-Encoding": "gzip"}))
    with pytest.raises(OrderError, match="it is encoded as 'gzip', although we asked for 'identity'"):
        await ca.new_order([A], None, None)
    assert {one.headers["accept-encoding"] for one in server.asked} == {"identity"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_signed_request_follows_no_redirect(ca: AcmeAuthority, server: AcmeServer, status: int) -> None:
    server.next["/order"].append(Canned(status, "", {"Location": server.url("/elsewhere")}))
    with pytest.raises(OrderError, match=rf"it redirects a signed request \(HTTP {status}\)"):
        await ca.new_order([A], None, None)
    assert server.paths() == ["/order"]


async def test_directory_may_redirect_to_a_checked_url(ca: AcmeAuthority, server: AcmeServer) -> None:
    usual = server.answers["/directory"]
    server.answers["/moved"] = usual
    server.next["/directory"].append(Canned(302, "", {"Location": "/moved"}))
    await ca.new_order([A], None, None)
    assert [one.path for one in server.asked[:2]] == ["/directory", "/moved"]


async def test_silent_ca_is_given_up_after_the_limit_of_a_read(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock
) -> None:
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    async def is_given_up(seconds: float) -> bool:
        async with authority(server.directory_url, accounts, clock, Limits(read_seconds=seconds)) as ca:
            with pytest.raises(OrderError, match="it did not answer in time") as caught:
                await ca.new_order([A], None, None)
        return "no answer from the CA a CA to the order for " in str(caught.value)

    server.before["/order"] = wait
    assert await with_more_time(is_given_up)
    gate.set()


async def test_cancelled_request_ends_at_once_and_leaves_the_connection_usable(
    ca: AcmeAuthority, server: AcmeServer
) -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await gate.wait()

    server.before["/authz"] = hold
    reading = asyncio.create_task(ca.read_authorization(server.url("/authz")))
    await reached.wait()
    reading.cancel()
    done, _ = await asyncio.wait([reading], timeout=60)
    assert done == {reading}
    assert reading.cancelled()
    gate.set()
    assert (await ca.read_authorization(server.url("/authz"))).identifier == A


async def test_requests_share_one_nonce_fetch(ca: AcmeAuthority, server: AcmeServer) -> None:
    placed = await ca.new_order([A], None, None)
    authorization = await ca.read_authorization(placed.authorization_urls[0])
    assert authorization.challenge is not None
    await ca.answer_challenge(Challenge(server.url("/chall"), authorization.challenge.token, Status.PENDING))
    assert [one.path for one in server.asked].count("/nonce") == 1


async def test_preparing_asks_for_all_that_an_order_needs(ca: AcmeAuthority, server: AcmeServer) -> None:
    await ca.prepare()
    await ca.prepare()
    before = len(server.asked)
    await ca.new_order([A], None, None)
    assert [one.path for one in server.asked[before:]] == ["/order"]


async def test_proxy_of_the_environment_is_used_but_for_what_is_excepted(
    server: AcmeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url("").replace("http://", "http://user:secret@"))
    monkeypatch.setenv("no_proxy", "near.invalid")
    session = CaSession("wellkeeper/1", allow_http=True)
    url = "http://far.invalid/directory"
    server.answers[url] = Canned(200, {})
    for _ in range(2):
        assert (await session.get(url)).json() == {}
    assert [one.path for one in server.asked] == [url, url]
    assert "proxy-authorization" in server.asked[0].headers
    with pytest.raises(OSError, match=r"near\.invalid"):
        await session.get("http://near.invalid/directory")
    await session.close()


@pytest.mark.parametrize(
    "url", ["socks5://user:secret@127.0.0.1:1", "user:secret@127.0.0.1:99999", "http://user:secret@xn--a:1"]
)
async def test_proxy_that_is_not_an_http_proxy_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("https_proxy", url)
    session = CaSession("wellkeeper/1")
    with pytest.raises(SettingsError, match=r"cannot use the proxy for ca\.example .* Correct HTTPS_PROXY") as caught:
        await session.get("https://ca.example/")
    assert "secret" not in str(caught.value)


async def test_closing_twice_is_harmless() -> None:
    session = CaSession("wellkeeper/1")
    await session.close()
    await session.close()


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_ca_that_knows_head_only_gives_its_nonces(ca: AcmeAuthority, server: AcmeServer, status: int) -> None:
    server.next["/nonce"].append(Canned(status, "", has_nonce=False))
    await ca.new_order([A], None, None)
    assert [one.method for one in server.asked if one.path == "/nonce"] == ["GET", "HEAD"]


async def test_number_of_requests_at_once_is_limited(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock
) -> None:
    gate, waiting = asyncio.Event(), 0

    async def hold() -> None:
        nonlocal waiting
        waiting += 1
        await gate.wait()

    async with authority(server.directory_url, accounts, clock, Limits(requests_at_once=2)) as ca:
        await ca.prepare()
        server.before["/authz"] = hold
        reading = [asyncio.create_task(ca.read_authorization(server.url("/authz"))) for _ in range(5)]
        await run_tasks_until(lambda: waiting >= 2)
        for _ in range(50):
            await asyncio.sleep(0)
        assert waiting == 2
        gate.set()
        assert [one.identifier for one in await asyncio.gather(*reading)] == [A] * 5


async def test_directory_that_was_begun_is_asked_once(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock
) -> None:
    async with authority(server.directory_url, accounts, clock) as ca:
        ca.connection.server.begin()
        ca.connection.server.begin()
        await ca.account_url()
        ca.connection.server.begin()
    assert [one.path for one in server.asked].count("/directory") == 1


async def test_failure_of_a_directory_that_was_begun_is_reported_once(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock
) -> None:
    server.next["/directory"].append(problem(503, "serverInternal"))
    async with authority(server.directory_url, accounts, clock) as ca:
        ca.connection.server.begin()
        with pytest.raises(OrderError, match="HTTP 503"):
            await ca.connection.directory()
        assert (await ca.connection.directory()).newOrder == server.url("/order")


async def test_unused_directory_is_not_waited_for(
    server: AcmeServer, accounts: AccountFolder, clock: FakeClock
) -> None:
    never = asyncio.Event()

    async def wait() -> None:
        await never.wait()

    server.before["/directory"] = wait
    async with authority(server.directory_url, accounts, clock) as ca:
        ca.connection.server.begin()
        await run_tasks_until(lambda: bool(server.asked))
    never.set()
