"""Problem documents of CAs, Retry-After, and the translation of all errors of a request."""

import json
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from tests.fakes import FakeClock
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.json_replies import ReplyError, UrlError
from wellkeeper_issuer.outside.ca.problems import (
    ProblemError,
    decide,
    is_passing,
    parse_problem,
    read_problem,
    translated,
)
from wellkeeper_issuer.outside.ca.session import Reply
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import ERROR_PREFIX, Problem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def reply(status: int = 200, body: str = "", **headers: str) -> Reply:
    """Return a reply; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply("https://ca.example/it", status, named, (), body.encode())


def test_problem_document_keeps_status_and_retry_after() -> None:
    body = {
        "type": f"{ERROR_PREFIX}rateLimited",
        "detail": "too many",
        "status": 400,
        "identifier": {"type": "dns", "value": "a.example"},
    }
    found = read_problem(reply(429, json.dumps(body), Retry_After="30"), NOW)
    assert found == Problem(f"{ERROR_PREFIX}rateLimited", "too many", 429, 30, "a.example")
    assert str(found) == "rateLimited for a.example (HTTP 429): too many"


def test_subproblems_are_reported_by_identifier() -> None:
    subs = [
        {"type": f"{ERROR_PREFIX}caa", "detail": "no", "identifier": {"type": "dns", "value": "a.example"}},
        "nonsense",
        {"type": f"{ERROR_PREFIX}dns", "detail": "none", "identifier": {"type": "dns", "value": "b.example"}},
    ]
    found = parse_problem({"type": f"{ERROR_PREFIX}compound", "detail": "several", "subproblems": subs})
    assert str(found) == "compound: several; caa for a.example: no; dns for b.example: none"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": 5},
        {"detail": None},
        {"status": "x"},
        {"identifier": "a"},
        {"subproblems": {}},
        {"subproblems": [1]},
    ],
    ids=str,
)
def test_incomplete_problem_document_is_used_as_far_as_possible(body: dict[str, object]) -> None:
    found = parse_problem(body, 500)
    assert (found.status, found.subproblems, found.identifier) == (500, (), None)
    assert str(found).endswith(f"(HTTP 500): {found.detail}")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>\n  <h1>502 Bad\tGateway</h1>", "<html> <h1>502 Bad Gateway</h1>"),
        ("", "no body"),
        ("[]", "[]"),
        ('"text"', '"text"'),
        ("x" * 1000, "x" * 199 + "…"),
    ],
    ids=["page", "nothing", "list", "string", "long"],
)
def test_other_bodies_are_quoted(body: str, words: str) -> None:
    found = read_problem(reply(502, body, Retry_After="9"), NOW)
    assert found == Problem("about:blank", f"the reply is not a problem document: {words}", 502, 9)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, True), (500, True), (503, True), (504, True), (400, False), (403, False), (None, False)],
)
def test_temporary_errors_are_retryable(status: int | None, expected: bool) -> None:
    assert is_passing(Problem("x", "y", status)) is expected


def translation(error: Exception) -> OrderError:
    with pytest.raises(OrderError) as caught, translated(OrderError, "example", "the order", FakeClock(NOW)):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    ("name", "retry"),
    [
        ("rateLimited", Retry.LATER),
        ("rejectedIdentifier", Retry.NEVER),
        ("externalAccountRequired", Retry.NEVER),
        ("malformed", Retry.SOON),
        ("caa", Retry.NEVER),
        ("badCSR", Retry.NEVER),
        ("badPublicKey", Retry.NEVER),
        ("invalidProfile", Retry.NEVER),
        ("unauthorized", Retry.LATER),
        ("alreadyReplaced", Retry.SOON),
        ("somethingNew", Retry.SOON),
    ],
)
def test_problem_is_translated_with_the_cas_detail(name: str, retry: Retry) -> None:
    problem = Problem(ERROR_PREFIX + name, "the CA's words", 403)
    error = translation(ProblemError(problem))
    assert str(error) == f"the CA example refused the order: {name} (HTTP 403): the CA's words"
    assert (error.problem, error.retry) == (problem, retry)


def test_unreadable_reply_is_reported() -> None:
    error = translation(ReplyError("it is not JSON"))
    assert str(error) == "cannot read the CA example's reply to the order: it is not JSON"
    assert error.retry is Retry.SOON


def test_refused_url_names_the_remedy() -> None:
    text = str(translation(UrlError("the URL http://x is not https", "Report this.")))
    assert text == "refused to send the order to the CA example: the URL http://x is not https. Report this."


KEY = ConnectionKey("ca.example", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ServerDisconnectedError("gone"), "gone"),
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "x")), "Connection refused"),
        (aiohttp.ClientPayloadError("cut short"), "cut short"),
        (aiohttp.ServerTimeoutError("slow"), "it did not answer in time"),
        (TimeoutError(), "it did not answer in time"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_missing_answer_is_reported(error: Exception, words: str) -> None:
    assert str(translation(error)) == (
        f"no answer from the CA example to the order: {words}. Check network, proxy and DNS of this host."
    )


@pytest.mark.parametrize(
    ("inner", "retry"),
    [
        ((), Retry.SOON),
        (("dns", "connection"), Retry.SOON),
        (("dns", "rateLimited"), Retry.LATER),
        (("rateLimited", "rejectedIdentifier", "dns"), Retry.NEVER),
    ],
    ids=str,
)
def test_worst_of_several_subproblems_decides(inner: tuple[str, ...], retry: Retry) -> None:
    subproblems = tuple(Problem(ERROR_PREFIX + name, "no") for name in inner)
    assert decide(Problem(f"{ERROR_PREFIX}compound", "several", 400, subproblems=subproblems)) is retry


def test_user_action_required_shows_the_cas_link() -> None:
    body = {"type": f"{ERROR_PREFIX}userActionRequired", "detail": "new terms", "instance": "https://ca.example/terms"}
    assert parse_problem(body).detail == "new terms (see https://ca.example/terms)"


@pytest.mark.parametrize(("code", "words"), [(9, "certificate is not yet valid"), (10, "certificate has expired")])
def test_ca_server_with_a_certificate_for_another_time_asks_for_the_clock(code: int, words: str) -> None:
    cause = ssl.SSLCertVerificationError(1, words)
    cause.verify_code = code
    assert translation(aiohttp.ClientConnectorCertificateError(KEY, cause)).lines == (
        "the TLS certificate of the CA example is not trusted",
        f"{cause}, and this host's clock says {NOW:%Y-%m-%d}; is it right?",
        "Synchronize the clock by NTP: 'timedatectl set-ntp true'.",
    )


def test_untrusted_ca_server_is_reported() -> None:
    error = aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("self-signed certificate"))
    assert str(translation(error)) == (
        "the TLS certificate of the CA example is not trusted: ('self-signed certificate',)."
        " For a test CA, set ca_bundle to the file with its root certificate, then run 'wellkeeper reload' if a daemon"
        " runs."
    )


def test_unencodable_detail_is_escaped_and_long_detail_is_shortened() -> None:
    body = {
        "type": "\ud800" * 3,
        "detail": "no \ud800" + "x" * 5_000,
        "instance": "https://ca.example/\udfff",
        "identifier": {"type": "dns", "value": "\ud800.example"},
        "subproblems": [{"detail": "\ud800"}],
    }
    found = read_problem(reply(400, json.dumps(body)), NOW)
    assert str(found).encode().startswith(b" for .example (HTTP 400): no xxx")
    assert found.detail.endswith("x… (see https://ca.example/)")
    assert len(found.detail) < 1_100


def test_own_defects_are_not_translated() -> None:
    with pytest.raises(ZeroDivisionError), translated(OrderError, "example", "the order", FakeClock(NOW)):
        raise ZeroDivisionError
