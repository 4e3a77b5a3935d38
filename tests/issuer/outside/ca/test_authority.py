"""The CA over HTTP: repeated requests, and messages for every kind of reply."""

import logging

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import CUT, TOKEN, AcmeServer, Canned, problem
from tests.fakes_deliver import dns
from tests.issuer.outside.conftest import authority
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import ChallengeError, FinalizeError, OrderError
from wellkeeper_issuer.model import Challenge, Order, Status
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.session import Limits
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import KeyType

A = dns("a.example")
PAGE = Canned(200, "<html>maintenance</html>", {"Content-Type": "text/html"})


def order(server: AcmeServer, status: Status = Status.READY, certificate_url: str | None = None) -> Order:
    return Order(server.url("/order/1"), status, (server.url("/authz"),), server.url("/finalize"), certificate_url)


def csr() -> bytes:
    return pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [A])


async def test_new_order_names_identifiers_and_profile(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.offer({"profiles": {"shortlived": "six days"}})
    found = await ca.new_order([A, dns("b.example")], "shortlived", None)
    assert found == Order(server.url("/order/1"), Status.PENDING, (server.url("/authz"),), server.url("/finalize"))
    identifiers = [{"type": "dns", "value": "a.example"}, {"type": "dns", "value": "b.example"}]
    assert server.asked[-1].payload == {"identifiers": identifiers, "profile": "shortlived"}


async def test_requests_have_a_user_agent(ca: AcmeAuthority, server: AcmeServer) -> None:
    await ca.new_order([A], None, None)
    assert all(one.headers["user-agent"].startswith("wellkeeper/1 ") for one in server.asked)
    assert all(one.headers["accept-language"] == "en" for one in server.asked)


async def test_requests_and_bad_nonces_are_logged_at_debug_level_only(
    ca: AcmeAuthority, server: AcmeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wellkeeper_issuer.outside.ca.session")
    server.next["/order"].append(problem(400, "badNonce"))
    await ca.new_order([A], None, None)
    own = [record for record in caplog.records if record.name == "wellkeeper_issuer.outside.ca.session"]
    orders = [record.getMessage() for record in own if "/order" in record.getMessage()]
    assert {record.levelname for record in own} == {"DEBUG"}
    assert [text.partition(" in ")[0] for text in orders] == [
        f"POST {server.url('/order')}: 400",
        f"POST {server.url('/order')}: 201",
    ]


async def test_requests_with_bad_nonces_are_repeated_a_limited_number_of_times(
    ca: AcmeAuthority, server: AcmeServer
) -> None:
    server.next["/order"].extend([problem(400, "badNonce")] * 5)
    assert (await ca.new_order([A], None, None)).url == server.url("/order/1")
    server.next["/order"].extend([problem(400, "badNonce")] * 100)
    with pytest.raises(OrderError, match=r"refused the order for a.example: badNonce"):
        await ca.new_order([A], None, None)
    assert len(server.next["/order"]) > 70


async def test_request_with_a_bad_nonce_is_repeated_with_the_nonce_of_the_error(
    ca: AcmeAuthority, server: AcmeServer
) -> None:
    server.next["/order"].extend([problem(400, "badNonce")] * 3)
    await ca.new_order([A], None, None)
    assert [one.path for one in server.asked][-4:] == ["/order"] * 4


async def test_trickling_reply_times_out_and_the_next_request_succeeds(
    accounts: AccountFolder, server: AcmeServer, clock: FakeClock
) -> None:
    server.next["/order"].append(Canned(201, server.order(), between=lambda: None))
    async with authority(server.directory_url, accounts, clock, Limits(total_seconds=1.0)) as ca:
        with pytest.raises(OrderError, match=r"to the order for a\.example: it did not answer in time") as caught:
            await ca.new_order([A], None, None)
        assert caught.value.retry is Retry.SOON
        assert (await ca.new_order([A], None, None)).url == server.url("/order/1")


async def test_oversized_reply_is_refused(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/order"].append(Canned(201, "x" * 1_100_000))
    with pytest.raises(OrderError, match=r"reply to the order for a.example: it is longer than 1024 KiB"):
        await ca.new_order([A], None, None)


@pytest.mark.parametrize("nonce", [{"has_nonce": False}, {"headers": {"Replay-Nonce": "no base64url!"}}], ids=str)
async def test_order_is_not_lost_over_a_missing_nonce(
    ca: AcmeAuthority, server: AcmeServer, nonce: dict[str, bool]
) -> None:
    usual = server.answers["/order"]
    headers = {**usual.headers, **nonce.get("headers", {})}  # type: ignore[dict-item]
    server.next["/order"].append(Canned(201, usual.body, headers, nonce.get("has_nonce", True)))
    assert (await ca.new_order([A], None, None)).url == server.url("/order/1")
    assert (await ca.read_authorization(server.url("/authz"))).status is Status.PENDING


async def test_ca_without_nonces_is_reported(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.answers["/nonce"] = Canned(200, has_nonce=False)
    with pytest.raises(
        OrderError,
        match="cannot read the CA a CA's reply to the account registration: it has no valid Replay-Nonce header",
    ):
        await ca.new_order([A], None, None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            problem(409, "alreadyReplaced"),
            r"refused the order for a.example: alreadyReplaced \(HTTP 409\): the CA's words",
        ),
        (
            problem(429, "rateLimited", Retry_After="60"),
            r"refused the order for .*: rateLimited \(HTTP 429\): the CA's words\. Retry after 60 s",
        ),
        (
            Canned(500, "<h1>Oops</h1>"),
            r"about:blank \(HTTP 500\): the reply is not a problem .*: <h1>Oops</h1>",
        ),
        (Canned(500), r"\(HTTP 500\): the reply is not a problem document: no body"),
        (Canned(400, [1]), r"\(HTTP 400\): the reply is not a problem document: \[1\]"),
        (Canned(400, {"detail": "bare"}), r"about:blank \(HTTP 400\): bare"),
        (Canned(201, "<html>", {"Location": "x"}), "reply to the order for a.example: it is not JSON: Expecting value"),
        (
            Canned(201, {"status": "pending"}),
            "reply to the order for a.example: it has no Location header",
        ),
        (
            Canned(201, {}, {"Location": "x"}),
            "reply to the order for a.example: order member 'authorizations' must be",
        ),
        (CUT, "to the order for a.example: .* Check network, proxy and DNS of this host"),
    ],
    ids=["409", "429", "page", "nothing", "list", "bare problem", "200 page", "no Location", "half an order", "cut"],
)
async def test_failed_new_order_is_reported_and_not_repeated(
    ca: AcmeAuthority, server: AcmeServer, answer: Canned, words: str
) -> None:
    server.next["/order"].append(answer)
    with pytest.raises(OrderError, match=words):
        await ca.new_order([A], None, None)
    assert server.paths() == ["/order"]


async def test_problem_includes_retry_after(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/order"].append(problem(429, "rateLimited", Retry_After="60"))
    with pytest.raises(OrderError) as caught:
        await ca.new_order([A], None, None)
    assert caught.value.problem is not None
    assert caught.value.problem.retry_after_seconds == 60
    assert caught.value.retry is Retry.LATER


async def test_reads_are_repeated_while_the_ca_is_busy(ca: AcmeAuthority, server: AcmeServer, clock: FakeClock) -> None:
    server.next["/authz"].extend([problem(503, "serverInternal", Retry_After="7"), Canned(502, "<html>")])
    assert (await ca.read_authorization(server.url("/authz"))).identifier == A
    assert clock.slept == [7, 2]


async def test_reads_are_repeated_when_the_connection_breaks(
    ca: AcmeAuthority, server: AcmeServer, clock: FakeClock
) -> None:
    server.next["/order/1"].extend([CUT, CUT])
    assert await ca.read_order(server.url("/order/1")) is not None
    assert clock.slept == [0.5, 2]


async def test_reads_fail_after_the_third_try(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.answers["/authz"] = problem(503, "serverInternal")
    with pytest.raises(ChallengeError, match=r"refused the request for authorization http.*/authz: serverInternal"):
        await ca.read_authorization(server.url("/authz"))
    assert server.paths() == ["/authz"] * 3


async def test_reads_are_not_repeated_after_a_long_retry_after(
    ca: AcmeAuthority, server: AcmeServer, clock: FakeClock
) -> None:
    server.next["/authz"].append(problem(503, "rateLimited", Retry_After="600"))
    with pytest.raises(ChallengeError, match="rateLimited"):
        await ca.read_authorization(server.url("/authz"))
    assert clock.slept == []


@pytest.mark.parametrize("answer", [PAGE, problem(400, "malformed"), Canned(200, [])], ids=["page", "400", "list"])
async def test_reads_are_not_repeated_after_permanent_errors(
    ca: AcmeAuthority, server: AcmeServer, answer: Canned, clock: FakeClock
) -> None:
    server.next["/authz"].append(answer)
    with pytest.raises(ChallengeError):
        await ca.read_authorization(server.url("/authz"))
    assert clock.slept == []


@pytest.mark.parametrize("status", [403, 404])
async def test_order_unknown_to_the_ca_is_none(ca: AcmeAuthority, server: AcmeServer, status: int) -> None:
    server.next["/order/1"].append(problem(status, "malformed"))
    assert await ca.read_order(server.url("/order/1")) is None


async def test_reads_return_the_retry_after_of_a_good_reply(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.answers["/order/1"] = Canned(200, server.order("processing"), {"Retry-After": "9"})
    server.answers["/authz"] = Canned(200, server.authorization(), {"Retry-After": "4"})
    found = await ca.read_order(server.url("/order/1"))
    assert found is not None
    assert found.retry_after_seconds == 9
    assert (await ca.read_authorization(server.url("/authz"))).retry_after_seconds == 4


async def test_challenge_is_answered_with_an_empty_object(ca: AcmeAuthority, server: AcmeServer) -> None:
    await ca.answer_challenge(Challenge(server.url("/chall"), TOKEN, Status.PENDING))
    assert [(one.path, one.payload) for one in server.asked][-1] == ("/chall", {})


async def test_refused_challenge_is_a_challenge_error(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/chall"].append(problem(400, "malformed", "not pending"))
    with pytest.raises(
        ChallengeError, match=r"refused the response to challenge http.*/chall: malformed .*: not pending"
    ):
        await ca.answer_challenge(Challenge(server.url("/chall"), TOKEN, Status.PENDING))


async def test_finalize_returns_the_orders_next_state(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.answers["/finalize"] = Canned(200, server.order("processing"), {"Retry-After": "3"})
    found = await ca.finalize(order(server), csr())
    assert (found.url, found.status, found.retry_after_seconds) == (server.url("/order/1"), Status.PROCESSING, 3)


async def test_order_not_ready_is_returned_as_it_is(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/finalize"].append(problem(403, "orderNotReady"))
    server.answers["/order/1"] = Canned(200, server.order("processing"))
    assert (await ca.finalize(order(server), csr())).status is Status.PROCESSING
    assert server.paths() == ["/finalize", "/order/1"]


async def test_refused_csr_is_a_finalize_error(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/finalize"].append(problem(400, "badCSR"))
    with pytest.raises(FinalizeError, match=r"refused the finalization of order http.*/order/1: badCSR"):
        await ca.finalize(order(server), csr())


async def test_chain_is_returned_as_bytes(ca: AcmeAuthority, server: AcmeServer) -> None:
    server.next["/certificate"].append(CUT)
    found = await ca.read_chain(order(server, Status.VALID, server.url("/certificate")))
    assert found == b"-----BEGIN CERTIFICATE-----\n"


async def test_valid_order_without_a_certificate_is_reported(ca: AcmeAuthority, server: AcmeServer) -> None:
    with pytest.raises(FinalizeError, match="reports the order as valid but names no certificate"):
        await ca.read_chain(order(server, Status.VALID))
