"""Causes: what each answer of a node means."""

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from tests.fakes_deliver import dns
from wellkeeper_node.advice.read_back import MAX_BODY_BYTES, Reply, cause_of_failure, cause_of_reply
from wellkeeper_node.model import Answer

ANSWER = Answer("t" * 43, "p" * 43, dns("a.example"))
GOOD = ANSWER.key_authorization.encode()

ASKED = ConnectionKey("node.example", 80, False, True, None, None, None)


def cause(status: int, body: bytes = b"", **headers: str) -> str | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return cause_of_reply(Reply("a.example", status, named, body), ANSWER)


@pytest.mark.parametrize("body", [GOOD, GOOD + b"\n", GOOD + b" \t\r\n", GOOD.ljust(MAX_BODY_BYTES)])
def test_key_authorization_is_no_cause(body: bytes) -> None:
    assert cause(200, body) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><h1>Hi", "a web page came instead"),
        (b"\n <html>", "a web page came instead"),
        (f"{ANSWER.token}.{'q' * 43}".encode(), f"another ACME account (thumbprint {'q' * 43}, ours is {'p' * 43})"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"x" * 129, "longer than the 127 bytes that the CA takes; it begins 'xxx"),
        (GOOD + b" " * (MAX_BODY_BYTES + 1 - len(GOOD)), "longer than the 127 bytes"),
        (GOOD[:-1], "not the key authorization; it is 'ttt"),
        (b" " + GOOD, "not the key authorization"),
        (b"\xff\x00", "not the key authorization"),
    ],
    ids=["page", "fragment", "other account", "empty", "blank", "long", "padded", "short", "indented", "binary"],
)
def test_wrong_body_is_explained(body: bytes, words: str) -> None:
    assert words in (cause(200, body) or "")


@pytest.mark.parametrize(
    ("upstream", "words"),
    [
        ("502", "cannot reach the responder's socket"),
        ("404, 502", "cannot reach the responder's socket"),
        ("504", "did not answer nginx in time"),
        ("404", "lacks the token"),
    ],
)
def test_header_of_the_snippet_tells_a_dead_socket_from_a_missing_token(upstream: str, words: str) -> None:
    assert words in (cause(404, Wellkeeper_Upstream=upstream) or "")


def test_responders_own_miss_is_told_from_a_missing_location() -> None:
    assert "lacks the token" in (cause(404, b"no such token\n") or "")


def test_missing_location_names_the_server_block_and_the_snippet() -> None:
    text = cause(404, Server="Apache/2.4") or ""
    assert "not included in the server block for a.example" in text
    assert "challenge.conf" in text
    assert "calls itself 'Apache/2.4'" in text
    assert "calls itself" not in (cause(404, Server="nginx/1.22.1") or "")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "without a Location"),
        (303, "303, which the CA does not follow"),
        (400, "http_addresses"),
        (401, "auth_basic"),
        (403, "location ^~"),
        (429, "limit_req"),
        (503, "limit_req or limit_conn of the server block"),
        (502, "answers 502 itself"),
        (204, "status 204, and the CA takes 200 only"),
    ],
)
def test_status_is_explained(status: int, words: str) -> None:
    assert words in (cause(status, GOOD) or "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer within 5 s"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "'listen [::]:8080;'"),
        (aiohttp.ServerDisconnectedError(), "return 444"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "proxy_protocol"),
        (ssl.SSLError(1, "alert"), "TLS handshake failed after a redirect"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host"),
        (aiohttp.ClientConnectorDNSError(ASKED, OSError(-2, "unknown")), "does not resolve"),
        (ValueError("odd"), "the request failed: odd"),
    ],
    ids=["silence", "refused", "disconnected", "reset", "tls", "unreachable", "unresolved", "other"],
)
def test_failure_is_explained(error: Exception, words: str) -> None:
    assert words in cause_of_failure(error, 5, 8080)
