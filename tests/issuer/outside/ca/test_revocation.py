"""Revocation at a CA that does not offer it, or has done it already; test_revoke.py has the rest, at a real CA."""

from typing import Any

import pytest

from tests.fakes_acme import AcmeServer, Canned, problem
from tests.fakes_deliver import FakeCa, dns
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.revocation import Reason, revoke

PAIR = FakeCa().pair(dns("a.example"))
KEYS = pytest.mark.parametrize("key", [None, PAIR.certificate_key_pem], ids=["account's key", "certificate's key"])


@KEYS
@pytest.mark.parametrize("offered", [{}, {"revokeCert": None}, {"revokeCert": 5}], ids=["missing", "null", "number"])
async def test_ca_that_does_not_revoke_is_named(
    ca: AcmeAuthority, server: AcmeServer, offered: dict[str, Any], key: bytes | None
) -> None:
    server.offer(**offered)
    with pytest.raises(OrderError, match=r"a CA.* its directory has no URL 'revokeCert'"):
        await revoke(ca.connection, PAIR.chain_pem, Reason.superseded, key)


@KEYS
async def test_certificate_is_revoked_once(ca: AcmeAuthority, server: AcmeServer, key: bytes | None) -> None:
    server.offer(revokeCert=server.url("/revoke"))
    server.answers["/revoke"] = Canned(200, {})
    assert await revoke(ca.connection, PAIR.chain_pem, Reason.superseded, key)
    server.answers["/revoke"] = problem(400, "alreadyRevoked")
    assert not await revoke(ca.connection, PAIR.chain_pem, Reason.superseded, key)
    assert {one.payload["reason"] for one in server.asked if one.path == "/revoke"} == {4}
