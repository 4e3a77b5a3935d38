"""Publishers at a responder: what their keys may publish and withdraw, and what is answered."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes import FakeClock
from tests.responder import conftest
from tests.responder.conftest import Running
from tests.responder.http import Reply, ask, parse, problem_of, send
from tests.responder.messages import JTI, KEY, NOW, OTHER_THUMBPRINT, OTHER_TOKEN, THUMBPRINT, TOKEN, publication
from wellkeeper_client import wire
from wellkeeper_client.publish import ResponderControl
from wellkeeper_client.publisher import Publisher as ClientPublisher
from wellkeeper_client.publisher import PublisherError
from wellkeeper_client.publishers import Publisher
from wellkeeper_client.signing import (
    Permit,
    Publication,
    Withdrawal,
    encode_public_key,
    key_id,
    sign_permit,
    sign_publication,
    sign_withdrawal,
)
from wellkeeper_client.trust_file import Trust
from wellkeeper_responder.app import Responder

CERTBOT_KEY, LEGO_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)) for number in (7, 8))
MINE, OTHER_JTI = Publication(TOKEN, OTHER_THUMBPRINT, "a.example", JTI, NOW, NOW + 600), "p-0000000000000002"


def publisher(name: str, key: Ed25519PrivateKey, *identifiers: str) -> Publisher:
    return Publisher(name, (OTHER_THUMBPRINT,), (encode_public_key(key.public_key()),), identifiers)


CERTBOT = publisher("certbot", CERTBOT_KEY, "a.example", "*.b.example", "2001:db8::1")
LEGO = publisher("lego", LEGO_KEY, "a.example")
ISSUER = Trust((THUMBPRINT,), (encode_public_key(KEY.public_key()),))


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Running]:
    """A responder for the issuer and two publishers, who have room for eight publications each."""
    clock = FakeClock()
    clock.step(NOW - clock.now().timestamp())
    settings = replace(conftest.settings(tmp_path), trust=replace(ISSUER, publishers=(CERTBOT, LEGO)), max_tokens=32)
    async with Responder(settings, clock) as responder:
        yield Running(responder, clock)


async def publish(running: Running, one: Publication, key: Ed25519PrivateKey = CERTBOT_KEY) -> str:
    """Return "" if it was published, else the name of the problem."""
    reply = await running.put(one.token, sign_publication(one, key))
    return "" if reply.status in {200, 201} else _problem(reply)


async def withdraw(running: Running, jti: str, key: Ed25519PrivateKey) -> str:
    message = sign_withdrawal(Withdrawal(TOKEN, jti, NOW, NOW + 600), key)
    reply = await running.put(TOKEN, message, "DELETE")
    return "" if reply.status == 204 else _problem(reply)


def _problem(reply: Reply) -> str:
    return str(reply.json()["type"]).removeprefix(wire.PROBLEM_PREFIX)


async def status_at(running: Running, host: str, token: str = TOKEN) -> int:
    return (await running.get(token, {"Host": host})).status


async def test_publisher_publishes_for_its_own_accounts_and_names(shared: Running) -> None:
    assert await publish(shared, MINE) == ""
    reply = await shared.get(TOKEN, {"Host": "a.example"})
    assert (reply.status, reply.body) == (200, MINE.key_authorization.encode())
    assert await withdraw(shared, JTI, CERTBOT_KEY) == ""
    assert await status_at(shared, "a.example") == 404


async def test_publisher_may_not_publish_for_other_accounts(shared: Running) -> None:
    assert await publish(shared, replace(MINE, thumbprint=THUMBPRINT)) == "not-pinned"
    assert await publish(shared, replace(MINE, thumbprint="x" * 43)) == "not-pinned"


@pytest.mark.parametrize("identifier", ["c.example", "b.example", "a.example.evil", "*.b.example", "2001:db8::2"])
async def test_publisher_may_not_publish_for_other_names(shared: Running, identifier: str) -> None:
    reply = await shared.put(TOKEN, sign_publication(replace(MINE, identifier=identifier), CERTBOT_KEY))
    words = f"publisher certbot may not publish for {identifier}, only for a.example, *.b.example, 2001:db8::1;"
    assert problem_of(reply, 403, "not-allowed")["detail"].startswith(words)


async def test_issuer_publishes_for_its_accounts_under_every_name_but_not_for_those_of_publishers(
    shared: Running,
) -> None:
    assert await publish(shared, publication(), KEY) == ""
    assert await status_at(shared, "anything.example") == 200
    assert await publish(shared, MINE, KEY) == "not-pinned"


@pytest.mark.parametrize("host", ["a.example", "A.Example", "a.example.", "a.example:80"])
async def test_token_of_a_publisher_is_answered_at_its_name(shared: Running, host: str) -> None:
    assert await publish(shared, replace(MINE, identifier="A.example.")) == ""
    assert await status_at(shared, host) == 200


@pytest.mark.parametrize(
    "host", ["b.example", "www.a.example", "a.example.evil", "[2001:db8::1]", "m\u00fcnchen.example"]
)
async def test_token_of_a_publisher_is_not_answered_at_other_names(shared: Running, host: str) -> None:
    assert await publish(shared, MINE) == ""
    raw = f"GET {wire.CHALLENGE_PREFIX}{TOKEN} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert parse(await send(shared.public, raw.encode())).status == 404


async def test_token_for_an_address_is_answered_at_its_literal(shared: Running) -> None:
    assert await publish(shared, replace(MINE, identifier="2001:DB8:0::1")) == ""
    assert await status_at(shared, "[2001:db8::1]:80") == 200
    assert await status_at(shared, "[2001:db8::2]") == 404


@pytest.mark.parametrize(
    "lines",
    ["", "Host: a.example\r\nHost: b.example\r\n", "Host: b.example\r\nHost: a.example\r\n"],
    ids=["none", "two", "two, the other first"],
)
async def test_request_without_exactly_one_host_gets_no_answer(shared: Running, lines: str) -> None:
    assert await publish(shared, MINE) == ""
    raw = f"GET {wire.CHALLENGE_PREFIX}{TOKEN} HTTP/1.0\r\n{lines}\r\n"
    assert parse(await send(shared.public, raw.encode())).status in {400, 404}


async def test_issuers_token_is_answered_without_a_host(shared: Running) -> None:
    assert await publish(shared, publication(), KEY) == ""
    raw = f"GET {wire.CHALLENGE_PREFIX}{TOKEN} HTTP/1.0\r\n\r\n"
    assert parse(await send(shared.public, raw.encode())).status == 200


async def test_publisher_may_not_withdraw_what_others_published(shared: Running) -> None:
    assert await publish(shared, MINE) == ""
    assert await withdraw(shared, JTI, LEGO_KEY) == "not-allowed"
    assert await publish(shared, replace(publication(OTHER_TOKEN), jti=OTHER_JTI), KEY) == ""
    assert await withdraw(shared, OTHER_JTI, LEGO_KEY) == "not-allowed"
    assert await status_at(shared, "a.example") == 200
    assert await withdraw(shared, JTI, KEY) == ""
    assert await status_at(shared, "a.example") == 404


async def test_publisher_may_not_replace_the_token_of_another(shared: Running) -> None:
    assert await publish(shared, MINE) == ""
    assert await publish(shared, replace(MINE, jti=OTHER_JTI), LEGO_KEY) == "held"
    assert await publish(shared, replace(MINE, jti=OTHER_JTI), CERTBOT_KEY) == ""
    assert await publish(shared, replace(publication(), jti="p-0000000000000003"), KEY) == ""
    assert await publish(shared, replace(MINE, jti="p-0000000000000004")) == "held"
    reply = await shared.get(TOKEN, {"Host": "a.example"})
    assert reply.body == publication().key_authorization.encode()


async def test_publication_of_another_cannot_be_replayed_with_another_key(shared: Running) -> None:
    assert await publish(shared, MINE) == ""
    assert await publish(shared, MINE, LEGO_KEY) == "jti-reused"


async def test_publisher_withdraws_over_tcp_as_its_client_does(shared: Running) -> None:
    assert await publish(shared, MINE) == ""
    for key, status in ((LEGO_KEY, 200), (CERTBOT_KEY, 404)):
        control = ResponderControl(str(shared.control_over_tcp), key, now=lambda: NOW)
        with nullcontext() if key is CERTBOT_KEY else pytest.raises(PublisherError, match="lego"):
            await asyncio.to_thread(ClientPublisher(control, "").withdraw, TOKEN)
        assert await status_at(shared, "a.example") == status


async def test_refusal_for_a_publisher_with_many_long_names_has_a_remedy(shared: Running) -> None:
    names = (f"host{number:050}.customers.example.org" for number in range(9))
    shared.responder.replace_trust(trust([publisher("c" * 63, CERTBOT_KEY, *names)]))
    control = ResponderControl(str(shared.control_over_tcp), CERTBOT_KEY, now=lambda: NOW)
    client, name = ClientPublisher(control, ""), ".".join(["a" * 60] * 4)
    with pytest.raises(PublisherError) as caught:
        await asyncio.to_thread(client.publish, name, f"{TOKEN}.{OTHER_THUMBPRINT}")
    remedy = "Add it to [[publishers]] of the issuer's settings, then run 'wellkeeper trust --write'."
    assert caught.value.lines[2:] == (remedy,)


def trust(publishers: Sequence[Publisher]) -> Trust:
    return replace(ISSUER, publishers=tuple(publishers))


@pytest.mark.parametrize(
    "publishers",
    [
        (LEGO,),
        (LEGO, replace(CERTBOT, identifiers=("c.example",))),
        (LEGO, replace(CERTBOT, account_thumbprints=("x" * 43,))),
    ],
    ids=["removed", "without the name", "without the account"],
)
async def test_tokens_of_a_revoked_publisher_are_not_answered(
    shared: Running, publishers: tuple[Publisher, ...]
) -> None:
    assert await publish(shared, MINE) == ""
    shared.responder.replace_trust(trust(publishers))
    assert await status_at(shared, "a.example") == 404
    assert await publish(shared, replace(MINE, jti=OTHER_JTI)) != ""
    # Another may publish the token, since no request gets the former answer.
    assert await publish(shared, replace(MINE, jti=OTHER_JTI), LEGO_KEY) == ""
    assert await status_at(shared, "a.example") == 200


async def test_publisher_cannot_take_the_room_of_others(shared: Running) -> None:
    def numbered(number: int) -> Publication:
        return replace(MINE, token=f"{number:043}", jti=f"n-{number:016}")

    assert [await publish(shared, numbered(number)) for number in range(9)] == [*[""] * 8, "full"]
    assert await withdraw(shared, OTHER_JTI, CERTBOT_KEY) == "full"
    assert await publish(shared, replace(MINE, jti=OTHER_JTI), LEGO_KEY) == ""
    assert await publish(shared, publication(OTHER_TOKEN, jti="p-of-the-issuer-000"), KEY) == ""
    shared.clock.advance(600 + 2 * wire.MAX_CLOCK_SKEW_SECONDS)
    later = replace(numbered(9), issued_at=NOW + 1800, expires_at=NOW + 2400)
    assert await publish(shared, later) == ""


async def test_publisher_signs_no_permits_for_more_than_a_token(shared: Running) -> None:
    for key, status in ((KEY, 200), (CERTBOT_KEY, 403)):
        headers = {"Authorization": f"Bearer {sign_permit(Permit(NOW, NOW + 60), key)}"}
        assert (await ask(shared.control_over_tcp, "GET", wire.STATUS_PATH, headers)).status == status


async def test_status_and_metrics_name_publishers(shared: Running) -> None:
    await publish(shared, MINE)
    await publish(shared, replace(MINE, identifier="c.example"), LEGO_KEY)
    found: dict[str, Any] = (await shared.read(wire.STATUS_PATH)).json()
    assert found["publishers"] == [CERTBOT.to_json(), LEGO.to_json()]
    assert found["publishing_key_ids"] == [key_id(KEY.public_key())]
    lines = (await shared.read(wire.METRICS_PATH)).body.decode().splitlines()
    assert 'wellkeeper_publisher_publications_total{publisher="certbot",result="created"} 1.0' in lines
    assert 'wellkeeper_publisher_publications_total{publisher="lego",result="not-allowed"} 1.0' in lines
    assert 'wellkeeper_publisher_tokens{publisher="certbot"} 1.0' in lines
    assert 'wellkeeper_publisher_tokens{publisher="lego"} 0.0' in lines


async def test_log_names_the_publisher(shared: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wellkeeper_responder.control")
    await publish(shared, MINE)
    await withdraw(shared, JTI, CERTBOT_KEY)
    await publish(shared, publication(OTHER_TOKEN, jti=OTHER_JTI), KEY)
    assert [vars(one)["fields"].get("publisher") for one in caplog.records] == ["certbot", "certbot", None]
