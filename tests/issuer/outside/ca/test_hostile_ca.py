"""A hostile CA, for a limited time: every reply of every kind leads to a result or an error of ours.

`--hostile-seconds 600` continues for ten minutes; the seed makes it repeatable.
"""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import pytest

from tests.fakes import FakeClock
from tests.fakes_acme import CUT, TOKEN, AcmeServer, Canned, problem
from tests.fakes_deliver import dns
from tests.hostile_replies import any_body, check_error, check_texts
from tests.issuer.outside.conftest import authority
from wellkeeper_issuer import pki
from wellkeeper_issuer.model import Challenge, Order, Status
from wellkeeper_issuer.outside.ca.account import AccountAtCa
from wellkeeper_issuer.outside.ca.authority import AcmeAuthority
from wellkeeper_issuer.outside.ca.session import Limits
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import KeyType

pytestmark = pytest.mark.slow

_ATTEMPTS: Final = 400
_STATUSES: Final = (200, 200, 200, 201, 204, 301, 302, 307, 400, 401, 403, 404, 409, 418, 429, 500, 503, 599)
_HEADERS: Final[tuple[dict[str, str], ...]] = (
    *({}, {}, {}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}, {"Location": "http://127.0.0.1:1/x"}),
    *({"Location": ""}, {"Location": "x" * 5_000}, {"Retry-After": "9" * 400}, {"Retry-After": "-1"}),
    *({"Replay-Nonce": "="}, {"Link": '<>;rel="alternate"' * 900}, {"Transfer-Encoding": "chunked"}),
)
# A day and a second: the directory is read again, and no earlier failure counts.
_LATER_SECONDS: Final = 86_401
A = dns("a.example")
Call = Callable[[], Awaitable[object]]


def any_reply(usual: Canned, chance: random.Random) -> Canned:
    kind = chance.randrange(20)
    if kind == 0:
        return CUT
    if kind == 1:
        return Canned(200, "{", between=lambda: None)
    if kind < 6:
        body = problem(400, "malformed").body | {"subproblems": [{"identifier": {"type": "dns", "value": "a"}}] * 3}
        return Canned(chance.choice(_STATUSES[8:]), any_body(body, chance), chance.choice(_HEADERS))
    status = usual.status if chance.random() < 0.7 else chance.choice(_STATUSES)
    return Canned(status, any_body(usual.body or {}, chance), {**usual.headers, **chance.choice(_HEADERS)})


def calls(ca: AcmeAuthority, server: AcmeServer, accounts: AccountFolder) -> Mapping[str, Call]:
    """Return for each path of the server a call that asks it."""
    certificate_key_pem = pki.make_certificate_key(KeyType.ECDSA_P256)
    csr_der, account = pki.make_csr(certificate_key_pem, [A]), AccountAtCa(ca.connection)
    urls = (server.url("/authz"),), server.url("/finalize"), server.url("/certificate")
    placed = Order(server.url("/order/1"), Status.READY, *urls)

    async def read_chain() -> None:
        pki.check_chain(await ca.read_chain(placed), csr_der, (A,), ca.connection.clock.now())

    return {
        "/directory": ca.abilities,
        "/nonce": ca.connection.nonce,
        "/account": lambda: account.url_of(accounts.account_key(server.directory_url)),
        "/account/1": account.state,
        "/order": lambda: ca.new_order([A], "classic", None),
        "/order/1": lambda: ca.read_order(placed.url),
        "/authz": lambda: ca.read_authorization(server.url("/authz")),
        "/chall": lambda: ca.answer_challenge(Challenge(server.url("/chall"), TOKEN, Status.PENDING)),
        "/finalize": lambda: ca.finalize(placed, csr_der),
        "/certificate": read_chain,
    }


async def test_every_reply_of_a_hostile_ca_leads_to_a_result_or_an_error_of_ours(
    server: AcmeServer,
    accounts: AccountFolder,
    clock: FakeClock,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    chance = random.Random("hostile CA")  # noqa: S311 - to be repeated, not to be secret
    ends_at = time.monotonic() + float(pytestconfig.getoption("hostile_seconds"))
    server.offer({"profiles": {"classic": "ninety days"}}, renewalInfo=server.url("/renewal-info"))
    server.answers["/account/1"] = Canned(200, {"status": "valid", "contact": ["mailto:a@example.org"]})
    usual: dict[str, Any] = dict(server.answers)
    attempts = refused = 0
    async with authority(server.directory_url, accounts, clock, Limits(total_seconds=0.3)) as ca:
        by_path = calls(ca, server, accounts)
        while attempts < _ATTEMPTS or time.monotonic() < ends_at:
            attempts += 1
            clock.advance(_LATER_SECONDS)
            path = chance.choice(list(by_path))
            server.next.clear()
            server.next[path].extend(any_reply(usual[path], chance) for _ in range(chance.randrange(1, 4)))
            try:
                check_texts(await by_path[path]())
            except WellkeeperError as error:
                refused += 1
                check_error(error)
    record_property("attack", f"hostile CA: {attempts} attempts, {refused} reported as errors")
    assert refused > attempts / 3
