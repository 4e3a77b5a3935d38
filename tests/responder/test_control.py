"""Control requests of issuers: publications, withdrawals, and their refusals."""

import gzip

import pytest

from tests.responder.conftest import Running
from tests.responder.http import ask, connect, parse, problem_of
from tests.responder.messages import (
    JTI,
    KEY,
    NOW,
    OTHER_KEY,
    OTHER_THUMBPRINT,
    OTHER_TOKEN,
    TOKEN,
    claims,
    header,
    publication,
    signed,
    withdrawal,
)
from wellkeeper_client import wire
from wellkeeper_client.signing import sign_publication, sign_withdrawal

_MESSAGE = sign_publication(publication(), KEY)


async def test_publishing_returns_201_with_the_expiry(running: Running) -> None:
    reply = await running.put(TOKEN, _MESSAGE)
    assert (reply.status, reply.headers["Content-Type"]) == (201, "application/json")
    assert reply.json() == {
        "instance_id": running.responder.instance_id,
        "expires_in_seconds": 600,
        "clock": NOW,
    }


async def test_publishing_again_changes_nothing(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    running.clock.advance(10)
    reply = await running.put(TOKEN, _MESSAGE)
    assert (reply.status, reply.json()["expires_in_seconds"]) == (200, 590)


@pytest.mark.parametrize(("seconds", "words"), [(61, "61 s behind"), (-61, "61 s ahead of")])
async def test_clock_difference_over_a_minute_is_warned_about(running: Running, seconds: int, words: str) -> None:
    running.clock.step(seconds)
    reply = await running.put(TOKEN, _MESSAGE)
    assert reply.status == 201
    assert words in reply.json()["warning"]


@pytest.mark.parametrize("seconds", [60, -60])
async def test_clock_difference_of_a_minute_is_accepted_without_a_warning(running: Running, seconds: int) -> None:
    running.clock.step(seconds)
    assert "warning" not in (await running.put(TOKEN, _MESSAGE)).json()


async def test_withdrawal_ends_the_publication(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    reply = await running.put(TOKEN, sign_withdrawal(withdrawal(), KEY), "DELETE")
    assert (reply.status, reply.body) == (204, b"")
    assert (await running.get(TOKEN)).status == 404
    problem_of(await running.put(TOKEN, _MESSAGE), 409, "ended")


async def test_withdrawing_an_unknown_publication_succeeds(running: Running) -> None:
    assert (await running.put(TOKEN, sign_withdrawal(withdrawal(), KEY), "DELETE")).status == 204


async def test_second_key_publishes_and_withdraws_too(running: Running) -> None:
    assert (await running.put(TOKEN, sign_publication(publication(), OTHER_KEY))).status == 201
    assert (await running.put(TOKEN, sign_withdrawal(withdrawal(JTI), KEY), "DELETE")).status == 204


async def test_forged_signature_is_refused_with_the_responders_time(running: Running) -> None:
    reply = await running.put(TOKEN, signed(header(), claims(), OTHER_KEY))
    assert problem_of(reply, 401, "bad-signature")["clock"] == NOW
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("seconds", "name"), [(-601, "clock"), (1201, "expired")])
async def test_wrong_clock_is_refused_with_the_responders_time(running: Running, seconds: int, name: str) -> None:
    running.clock.step(seconds)
    problem = problem_of(await running.put(TOKEN, _MESSAGE), 401, name)
    assert problem["clock"] == NOW + seconds
    assert "clock" in problem["detail"]


async def test_account_that_is_not_pinned_is_forbidden(running: Running) -> None:
    reply = await running.publish(publication(thumbprint=OTHER_THUMBPRINT))
    assert OTHER_THUMBPRINT in problem_of(reply, 403, "not-pinned")["detail"]


async def test_withdrawal_is_not_accepted_as_a_publication_nor_the_reverse(running: Running) -> None:
    problem_of(await running.put(TOKEN, sign_withdrawal(withdrawal(), KEY)), 400, "malformed")
    problem_of(await running.put(TOKEN, _MESSAGE, "DELETE"), 400, "malformed")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_token_in_the_path_must_match_the_message(running: Running, method: str) -> None:
    message = _MESSAGE if method == "PUT" else sign_withdrawal(withdrawal(), KEY)
    problem_of(await running.put(OTHER_TOKEN, message, method), 400, "malformed")
    assert (await running.get(OTHER_TOKEN)).status == 404


async def test_full_responder_refuses_a_publication(running: Running) -> None:
    for number in range(4):
        await running.publish(publication(f"{number:043}", jti=f"{number:016}"))
    problem_of(await running.put(TOKEN, _MESSAGE), 507, "full")


@pytest.mark.parametrize("size", [wire.MAX_MESSAGE_BYTES + 1, 100_000])
async def test_oversized_message_is_refused(running: Running, size: int) -> None:
    problem_of(await running.put(TOKEN, "x" * size), 413, "too-large")


async def test_chunked_message_is_bounded_too(running: Running) -> None:
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE, "Transfer-Encoding": "chunked"}
    reader, writer = await connect(running.control)
    head = f"PUT /v1/tokens/{TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write((head + lines + "\r\n").encode() + b"1000\r\n" + b"x" * 4096 + b"\r\n" + b"1\r\nx\r\n")
    reply = parse(await reader.read())
    writer.close()
    problem_of(reply, 413, "too-large")


@pytest.mark.parametrize("media_type", [None, "application/json", "application/jose; charset=utf-8", "text/plain"])
async def test_other_media_types_are_refused(running: Running, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    reply = await ask(running.control, "PUT", wire.TOKENS_PREFIX + TOKEN, headers, _MESSAGE)
    problem_of(reply, 415, "media-type")


async def test_compressed_message_is_not_decompressed(running: Running) -> None:
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE, "Content-Encoding": "gzip"}
    reply = await ask(running.control, "PUT", wire.TOKENS_PREFIX + TOKEN, headers, gzip.compress(_MESSAGE.encode()))
    problem_of(reply, 400, "malformed")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/",
        "/v1/tokens",
        "/v1/tokens/",
        "/v1/tokens/short",
        f"/v1/tokens/{TOKEN}/",
        f"/v1/tokens/{TOKEN}?x=y",
        f"/v1/tokens/..%2f.well-known%2facme-challenge%2f{TOKEN}",
        f"/v1/tokens/../tokens/{TOKEN}",
        f"//v1/tokens/{TOKEN}",
        f"/V1/tokens/{TOKEN}",
        "/v1/status/",
        "/v1/../healthz",
        wire.CHALLENGE_PREFIX + TOKEN,
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_unknown_paths_are_not_found(running: Running, method: str, path: str) -> None:
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
    problem_of(await ask(running.control, method, path, headers, _MESSAGE), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", wire.TOKENS_PREFIX + TOKEN, "PUT, DELETE, GET"),
        ("POST", wire.STATUS_PATH, "GET"),
        ("DELETE", wire.FETCHES_PATH, "GET"),
        ("PUT", wire.HEALTH_PATH, "GET"),
        ("POST", wire.METRICS_PATH, "GET"),
    ],
)
async def test_wrong_method_is_answered_with_the_allowed_ones(
    running: Running, method: str, path: str, allow: str
) -> None:
    reply = await ask(running.control, method, path)
    problem_of(reply, 405, "method-not-allowed")
    assert reply.headers["Allow"] == allow
