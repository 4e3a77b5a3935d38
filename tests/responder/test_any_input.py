"""Arbitrary input: the responder refuses it below 500, without a traceback, and answers only published tokens."""

import json
import logging
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_plus

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.responder.conftest import Running
from tests.responder.http import ask, connect
from tests.responder.messages import KEY, NOW, THUMBPRINT, TOKEN, claims, header, publication, signed
from wellkeeper_client import wire
from wellkeeper_client.wire import WireError
from wellkeeper_responder.publishing_keys import PublishingKeys
from wellkeeper_responder.settings import Address

pytestmark = pytest.mark.slow

# The responder deliberately outlives the examples, so that leftovers of one affect the next.
any_input: Final = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
KEYS: Final = PublishingKeys([KEY.public_key()])
READS: Final = frozenset({wire.FETCHES_PATH, wire.STATUS_PATH, wire.HEALTH_PATH, wire.METRICS_PATH})
HEADER_NAMES: Final = [
    *("Host", "X-Real-IP", "User-Agent", wire.READ_BACK_HEADER, "Authorization", "Cookie", "Range", "If-None-Match"),
    *("Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Expect", "Connection", "Upgrade"),
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
claim_names = st.sampled_from([*claims(), "publication_jti", "nbf"]) | st.text(max_size=8)
header_names = st.sampled_from(["typ", "alg", "kid", "crit", "b64", "jwk", "zip", "cty"]) | st.text(max_size=8)
times = st.integers(NOW - 5000, NOW + 5000) | st.integers()
likely = st.fixed_dictionaries(
    {},
    optional={
        "iat": times | values,
        "exp": times | values,
        "token": st.from_regex(wire.TOKEN_PATTERN, fullmatch=True) | values,
        "identifier": st.text(max_size=300) | values,
        "jti": st.text(max_size=70) | values,
        "aud": st.sampled_from([wire.AUDIENCE, [wire.AUDIENCE], ""]) | values,
    },
)
payloads = st.builds(
    lambda base, more: claims() | base | more, likely, st.dictionaries(claim_names, values, max_size=3)
)
headers_of_messages = st.builds(lambda more: header() | more, st.dictionaries(header_names, values, max_size=2))
raw_paths = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=160)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW"])
header_values = st.binary(max_size=120).map(
    lambda raw: re.sub(rb"[\r\n\0]", b"", raw).decode("utf-8", "surrogateescape")
)


def check(message: bytes) -> None:
    """Check that the message is accepted or refused as every kind of message, without other exceptions."""
    for checked in (KEYS.check_publication, KEYS.check_withdrawal, KEYS.check_permit):
        refusal = refused(checked, message)
        assert refusal is None or refusal.status in {400, 401, 413}
        assert refusal is None or json.dumps(refusal.detail)


def refused(checked: Callable[[bytes, float], object], message: bytes) -> WireError | None:
    try:
        checked(message, NOW)
    except WireError as error:
        return error
    return None


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return log records of the responder or asyncio about internal faults."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]


async def exchange(address: Address, raw: bytes) -> list[int]:
    """Send these bytes and end of input; return the statuses of all replies."""
    reader, writer = await connect(address)
    try:
        writer.write(raw)
        writer.write_eof()
        answer = await reader.read()
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
    return [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", answer, re.MULTILINE)]


@any_input
@given(st.binary(max_size=5000))
@example(b"..")
@example(b"e30.e30.")
@example(b"\xff.\xff.\xff")
def test_random_bytes_are_a_message_or_refused(message: bytes) -> None:
    check(message)


@any_input
@given(headers_of_messages | st.text(max_size=200), payloads | st.text(max_size=400))
@example(header(), "[" * 1500)
@example("{" * 800, claims())
@example(header(), '{"iat": 1e999, "exp": NaN}')
@example(header(), json.dumps(claims()).replace("}", ', "iat": 0}'))
@example(header(), json.dumps(claims()).replace(str(NOW), "9" * 2000, 1))
@example(header(), "\ud800")
@example(header(crit=["exp"]), claims())
def test_signed_nonsense_is_refused(head: dict[str, Any] | str, payload: dict[str, Any] | str) -> None:
    check(signed(head, payload))


@any_input
@given(message=st.binary(max_size=300) | st.builds(signed, headers_of_messages, payloads), method=methods)
async def test_random_body_is_accepted_or_refused(
    running: Running, caplog: pytest.LogCaptureFixture, message: bytes, method: str
) -> None:
    reply = await running.put(TOKEN, message, method)
    assert reply.status < 500 or reply.status == 507
    assert reply.status not in {200, 201} or (await running.get(TOKEN)).body == f"{TOKEN}.{THUMBPRINT}".encode()
    assert faults(caplog) == []


@any_input
@given(path=raw_paths | raw_paths.map(lambda tail: wire.CHALLENGE_PREFIX + tail), method=methods)
@example(path=f"{wire.CHALLENGE_PREFIX}{TOKEN}%00", method="GET")
@example(path=f"{wire.CHALLENGE_PREFIX}..%2f..%2f{TOKEN}", method="GET")
@example(path=f"http://example.com{wire.CHALLENGE_PREFIX}{TOKEN}", method="GET")
@example(path="*", method="OPTIONS")
@example(path="example.com:80", method="CONNECT")
@example(path="http://[::1", method="GET")
async def test_every_path_except_a_published_token_is_not_found(
    running: Running, caplog: pytest.LogCaptureFixture, path: str, method: str
) -> None:
    await running.publish(publication())
    # Hypothesis finds existing paths, too.
    assume(path and path != wire.CHALLENGE_PREFIX + TOKEN and path.partition("?")[0] not in READS)
    assert (await ask(running.public, method, path)).status in {400, 404, 405}
    assert (await ask(running.control, method, path)).status in {400, 404, 405}
    assert faults(caplog) == []


@any_input
@given(
    name=st.sampled_from(HEADER_NAMES),
    value=header_values
    | header_values.map("Bearer {}".format)
    | st.sampled_from(["chunked", "100-continue", "gzip", "websocket", "-1", "9" * 30, "Bearer x.y.z"]),
    method=st.sampled_from(["GET", "PUT"]),
)
@example(name="Authorization", value="Bearer \udcff.\udcff.", method="GET")
async def test_responder_survives_any_header(
    running: Running, caplog: pytest.LogCaptureFixture, name: str, value: str, method: str
) -> None:
    await running.publish(publication())
    lines = {"Host": "x", "Connection": "close", name: value}
    head = "".join(f"{one}: {text}\r\n" for one, text in lines.items()).encode("utf-8", "surrogateescape")
    for address, path in (
        (running.public, wire.CHALLENGE_PREFIX + TOKEN),
        (running.control, wire.TOKENS_PREFIX + TOKEN),
        (running.control_over_tcp, wire.STATUS_PATH),
    ):
        statuses = await exchange(address, f"{method} {path} HTTP/1.1\r\n".encode() + head + b"\r\n")
        assert all(status < 500 for status in statuses)
    assert (await running.read(wire.FETCHES_PATH)).status == 200
    assert faults(caplog) == []


@any_input
@given(
    raw=st.binary(max_size=400) | st.binary(max_size=80).map(lambda tail: b"GET / HTTP/1.1\r\n" + tail + b"\r\n\r\n")
)
@example(raw=b"\r\n\r\n")
@example(raw=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(raw=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
@example(raw=b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
@example(raw=b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n")
async def test_responder_survives_invalid_http(running: Running, caplog: pytest.LogCaptureFixture, raw: bytes) -> None:
    for address in (running.public, running.control, running.control_over_tcp):
        assert all(status < 500 for status in await exchange(address, raw))
    assert (await running.read(wire.HEALTH_PATH)).status == 200
    assert faults(caplog) == []


@any_input
@given(
    query=st.text(st.sampled_from("afterwi=&;0123456789-+.%e "), max_size=40)
    | st.builds("after={}&wait=0".format, st.integers() | st.text(max_size=8))
)
@example(query="after=" + "9" * 5000)
@example(query="after=%C2%B2")
@example(query="after=%D9%A1")
@example(query="after=0&after=0")
@example(query="%")
async def test_every_fetches_query_is_answered_or_refused(
    running: Running, caplog: pytest.LogCaptureFixture, query: str
) -> None:
    # Queries that wait are answered by the next fetch.
    assume(re.search(r"wait=[0-9]*[1-9]", unquote_plus(query)) is None)
    raw = re.sub(r"\s", "+", query)
    assert (await ask(running.control, "GET", f"{wire.FETCHES_PATH}?{raw}")).status in {200, 400}
    assert faults(caplog) == []
