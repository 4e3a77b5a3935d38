"""Causes and remedies for each response of a node."""

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.fakes_deliver import dns
from wellkeeper_client import wire
from wellkeeper_node.advice.read_back import Reply, advice_on_failure, advice_on_reply, is_elsewhere, longest_body
from wellkeeper_node.model import Answer

ANSWER = Answer("t" * 43, "p" * 43, dns("a.example"))
GOOD = ANSWER.key_authorization.encode()
LIMIT_PAGE = b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n"

REQUEST = aiohttp.RequestInfo(
    URL("http://a.example/"), "GET", CIMultiDictProxy(CIMultiDict()), URL("http://a.example/")
)
ASKED = ConnectionKey("node.example", 80, False, True, None, None, None)


def advice(status: int, body: bytes = b"", **headers: str) -> str | None:
    """Return cause and remedy as one line."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found = advice_on_reply(Reply("a.example", status, named, body), ANSWER)
    return None if found is None else f"{found.cause}. {found.remedy}"


@pytest.mark.parametrize("body", [GOOD, GOOD + b"\n", GOOD + b" \t\r\n", GOOD.ljust(127)])
def test_key_authorization_is_accepted(body: bytes) -> None:
    assert advice(200, body) is None


def test_key_authorization_of_a_long_token_is_accepted_and_a_longer_answer_is_not() -> None:
    answer = Answer("t" * 128, "p" * 43, dns("a.example"))
    good = answer.key_authorization.encode()
    assert longest_body(answer) == len(good) == 172
    assert advice_on_reply(Reply("a.example", 200, {}, good), answer) is None
    found = advice_on_reply(Reply("a.example", 200, {}, good + b"\n"), answer)
    assert found is not None
    assert "longer than the 172 bytes that the CA reads" in found.cause


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><h1>Hi", "the answer is a web page"),
        (b"\n <html>", "the answer is a web page"),
        (
            f"{ANSWER.token}.{'q' * 43}".encode(),
            f"another ACME client answers for a.example (account thumbprint {'q' * 43}, not {'p' * 43})",
        ),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"x" * 129, "longer than the 127 bytes that the CA reads; it begins 'xxx"),
        (GOOD + b" " * (127 + 1 - len(GOOD)), "longer than the 127 bytes"),
        (GOOD[:-1], "not the key authorization but 'ttt"),
        (b" " + GOOD, "not the key authorization"),
        (b"\xff\x00", "not the key authorization"),
    ],
    ids=["page", "fragment", "other account", "empty", "blank", "long", "padded", "short", "indented", "binary"],
)
def test_wrong_body_is_explained(body: bytes, words: str) -> None:
    assert words in (advice(200, body) or "")


@pytest.mark.parametrize(
    ("upstream", "words"),
    [
        ("502", "cannot reach the responder's socket"),
        ("404, 502", "cannot reach the responder's socket"),
        ("504", "did not answer nginx in time"),
        ("404", "lacks the token"),
    ],
)
def test_snippet_header_distinguishes_a_dead_socket_from_a_missing_token(upstream: str, words: str) -> None:
    assert words in (advice(404, Wellkeeper_Upstream=upstream) or "")


def test_404_from_the_responder_is_not_a_missing_location() -> None:
    assert "lacks the token" in (advice(404, b"no such token\n") or "")


def test_missing_location_names_the_server_block_and_the_snippet() -> None:
    text = advice(404, Server="Apache/2.4") or ""
    assert "server block for a.example does not include the challenge location" in text
    assert "challenge.conf" in text
    assert "calls itself 'Apache/2.4'" in text
    assert "calls itself" not in (advice(404, Server="nginx/1.22.1") or "")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "without a Location"),
        (303, "303, which the CA does not follow"),
        (400, "http_addresses"),
        (401, "auth_basic"),
        (403, "location ^~"),
        (429, "limit_req"),
        (503, "answers 503 itself"),
        (502, "answers 502 itself"),
        (500, "answers 500 itself"),
        (204, "status 204, but the CA accepts only 200"),
    ],
)
def test_status_is_explained(status: int, words: str) -> None:
    assert words in (advice(status, GOOD) or "")


@pytest.mark.parametrize("body", [LIMIT_PAGE, b""], ids=["of nginx", "of the responder"])
def test_limit_is_explained(body: bytes) -> None:
    assert "limit_req or limit_conn of the server block" in (advice(503, body) or "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer within 5 s"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "'listen [::]:8080;'"),
        (aiohttp.ServerDisconnectedError(), "return 444"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "proxy_protocol"),
        (ssl.SSLError(1, "alert"), "TLS handshake failed after a redirect"),
        (aiohttp.ClientResponseError(REQUEST, (), message="Bad status line"), "is not HTTP/1.1 (Bad status line)"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host"),
        (aiohttp.ClientConnectorDNSError(ASKED, OSError(-2, "unknown")), "does not resolve"),
        (ValueError("odd"), "the request failed: odd"),
    ],
    ids=["silence", "refused", "disconnected", "reset", "tls", "SSH", "unreachable", "unresolved", "other"],
)
def test_failure_is_explained(error: Exception, words: str) -> None:
    assert words in "{}. {}".format(*advice_on_failure(error, 5, 8080))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(Reply("a.example", 404, {}, wire.NO_SUCH_TOKEN.encode()), False, id="the responder's 404"),
        pytest.param(Reply("a.example", 404, {wire.UPSTREAM_HEADER: "502"}, b""), False, id="responder down"),
        pytest.param(Reply("a.example", 404, {}, b"<html>"), True, id="nginx's own 404"),
        pytest.param(Reply("a.example", 403, {}, b""), True, id="forbidden"),
        pytest.param(Reply("a.example", 200, {}, b"<html>"), True, id="a page"),
        pytest.param(Reply("a.example", 429, {}, b""), False, id="a limit"),
        pytest.param(Reply("a.example", 503, {}, b""), False, id="the responder is overloaded"),
        pytest.param(Reply("a.example", 500, {}, b"500\n"), False, id="the responder fails"),
        pytest.param(Reply("a.example", 503, {}, LIMIT_PAGE), False, id="a limit of nginx"),
        pytest.param(Reply("a.example", 500, {}, b"Traceback"), True, id="an application fails"),
        pytest.param(Reply("a.example", 502, {}, b"<html>"), True, id="an application is down"),
        pytest.param(Reply("a.example", 503, {}, b"back soon"), True, id="an application in maintenance"),
    ],
)
def test_answer_of_another_location_is_recognised(reply: Reply, expected: bool) -> None:
    assert is_elsewhere(reply) is expected
