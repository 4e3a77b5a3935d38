"""A hostile CA: URLs without TLS, oversized JSON, replies and chains, authorizations that were not ordered."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stand.fault_proxy import Asked, Fault, Forward, Kind, Reply
from stand.faults import answer, changed, changed_body
from stand.processes import temporary_folder
from tests.integration.misbehaving import NAME, Case, Misbehaving, misbehaving, table
from tests.integration.observed import orders
from tests.integration.two_cas import two_cas

# One host for all rows: each ends with a pass that serves.
pytestmark = pytest.mark.integration

_DEEP = "[" * 10_000 + "]" * 10_000


@pytest.fixture
async def ca() -> AsyncIterator[Misbehaving]:
    with temporary_folder() as folder:
        async with misbehaving(folder) as running:
            yield running


def plain(member: str) -> Fault:
    """Remove TLS from the URLs in this member of the reply."""

    def edit(members: dict[str, Any]) -> None:
        if member == "challenges":
            for challenge in members[member]:
                challenge["url"] = _plain(challenge["url"])
        elif member == "authorizations":
            members[member] = [_plain(url) for url in members[member]]
        elif member in members:
            members[member] = _plain(members[member])

    return changed(edit)


def _plain(url: str) -> str:
    return url.replace("https://", "http://")


def redirected(status: int) -> Fault:
    """Redirect to the same URL without TLS."""

    async def fault(asked: Asked, _: Forward) -> Reply:
        return Reply(status, b"", {"Location": _plain(asked.url)})

    return fault


async def packed(_: Asked, forward: Forward) -> Reply:
    """Prepend 200 MB of blanks to the CA's reply, and compress both."""
    reply = await forward()
    body = gzip.compress(b" " * 200_000_000, 9) + gzip.compress(reply.body)
    return Reply(reply.status, body, reply.headers | {"Content-Encoding": "gzip"})


def many_authorizations(members: dict[str, Any]) -> None:
    members["authorizations"] *= 2_000


def for_another(members: dict[str, Any]) -> None:
    members["identifier"]["value"] = "other.example.org"


def long_chain(body: bytes) -> bytes:
    end = b"-----END CERTIFICATE-----\n"
    leaf, _, rest = body.partition(end)
    return leaf + end + rest * 600


@table(
    {
        "directory redirects to http": Case(
            Kind.DIRECTORY, redirected(302), "order", "refused to send .* directory .*: the URL http://.* is not https"
        ),
        "newNonce": Case(Kind.DIRECTORY, plain("newNonce"), "order", "refused to send .*: the URL http://.* not https"),
        "newOrder": Case(Kind.DIRECTORY, plain("newOrder"), "order", "refused to send the order for .* is not https"),
        "authorization": Case(
            Kind.NEW_ORDER, plain("authorizations"), "validate", "refused to send the request for authorization http://"
        ),
        "challenge": Case(
            Kind.AUTHORIZATION, plain("challenges"), "validate", "refused to send the response to challenge http://"
        ),
        "finalize": Case(Kind.NEW_ORDER, plain("finalize"), "finalize", "refused to send the finalization of order"),
        "certificate": Case(
            Kind.ORDER, plain("certificate"), "finalize", "refused to send the request for certificate http://", times=9
        ),
        "redirect of a signed request": Case(
            Kind.NEW_ORDER, redirected(307), "order", r"it redirects a signed request \(HTTP 307\)"
        ),
        "deep order": Case(Kind.NEW_ORDER, answer(201, _DEEP, Location="https://x/"), "order", "nested too deeply"),
        "deep problem": Case(Kind.NEW_ORDER, answer(400, _DEEP), "order", "the reply is not a problem document"),
        "deep authorization": Case(Kind.AUTHORIZATION, answer(200, _DEEP), "validate", "nested too deeply"),
        "number out of range": Case(
            Kind.NEW_ORDER, answer(201, '{"expires": 1e999}', Location="https://x/"), "order", "1e999 is out of range"
        ),
        "an object as a token": Case(
            Kind.AUTHORIZATION,
            changed(lambda members: members["challenges"][0].update(type="http-01", token={})),
            "validate",
            "challenge member 'token' must be a string",
        ),
        "gzip of 200 MB": Case(Kind.AUTHORIZATION, packed, "validate", "it is encoded as 'gzip'"),
        "2 000 authorizations": Case(
            Kind.NEW_ORDER, changed(many_authorizations), "order", "it has 2000 authorizations for 1 identifiers"
        ),
        "authorization of another name": Case(
            Kind.AUTHORIZATION, changed(for_another), "order", r"an authorization for other\.example\.org, which we did"
        ),
        "chain of 601": Case(
            Kind.CERTIFICATE, changed_body(long_chain), "finalize", "its chain has 601 certificates, more than 10"
        ),
    }
)
async def test_hostile_reply_is_refused_and_the_next_pass_succeeds(ca: Misbehaving, case: Case) -> None:
    await ca.fails_then_serves(case)


async def test_renewal_info_at_a_url_without_tls_is_not_asked(ca: Misbehaving) -> None:
    ca.proxy.stage(Kind.DIRECTORY, plain("renewalInfo"))
    ca.proxy.asked.clear()
    await ca.serves()
    assert ca.proxy.times(Kind.RENEWAL_INFO) == []


async def test_certificate_that_is_valid_for_seconds_is_not_installed(folder: Path) -> None:
    async with misbehaving(folder, profiles={"default": 30, "short": 30}) as ca:
        await ca.fails("finalize", "it is valid for less than 60 s")


@pytest.mark.parametrize(
    "fault",
    [answer(201, _DEEP, Location="https://x/"), answer(400, json.dumps({"type": {}, "detail": [[]]})), redirected(307)],
    ids=["deep", "objects in a problem", "redirect"],
)
async def test_next_ca_of_the_list_is_asked(folder: Path, fault: Fault) -> None:
    async with two_cas(folder, NAME, has_proxy=True) as cas:
        assert cas.host.proxy is not None
        cas.host.proxy.stage(Kind.NEW_ORDER, fault)
        await cas.host.issuer.run_well("renew")
        await cas.is_served(cas.second)
        assert (orders(cas.host.ca), orders(cas.second)) == (0, 1)
