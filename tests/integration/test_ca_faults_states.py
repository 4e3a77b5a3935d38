"""A CA with wrong orders, authorizations, chains and nonces."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from stand.certificates import make_server_certificate
from stand.fault_proxy import Asked, Fault, Forward, Kind, Reply
from stand.faults import changed, changed_body, problem, with_nonce
from stand.processes import temporary_folder
from tests.integration.misbehaving import NAME, OTHER_NAME, Case, Misbehaving, misbehaving, table

# All rows share one host, because each ends with a successful pass.
pytestmark = pytest.mark.integration


@pytest.fixture
async def ca() -> AsyncIterator[Misbehaving]:
    with temporary_folder() as folder:
        async with misbehaving(folder, NAME, OTHER_NAME) as running:
            yield running


def without_certificate(members: dict[str, Any]) -> None:
    members["status"] = "valid"
    members.pop("certificate", None)


def status(name: str, **headers: str) -> Fault:
    """Change the status of the object, without an error."""

    def edit(members: dict[str, Any]) -> None:
        members["status"] = name
        for challenge in members.get("challenges", []):
            challenge["status"] = name if name in {"invalid", "valid"} else challenge["status"]
            challenge.pop("error", None)

    return changed(edit, **headers)


def authorization(name: str, words: str) -> Case:
    """Return a case that changes authorizations after the first two reads, one for each name of the order."""
    return Case(Kind.AUTHORIZATION, status(name), "validate", words, times=50, after=2)


@table(
    {
        "invalid, no error": authorization(
            "invalid", r"\.example\.org: its authorization is invalid, and the CA gave no reason"
        ),
        "deactivated": authorization(
            "deactivated", r"\.example\.org: its authorization is deactivated, and the CA gave no reason"
        ),
        "expired": authorization("expired", r"\.example\.org: its authorization is expired, and the CA gave no reason"),
        "revoked": authorization("revoked", r"\.example\.org: its authorization is revoked, and the CA gave no reason"),
        "a status of its own": authorization("undecided", "status' is 'undecided', which RFC 8555 section 7.1.6 does"),
    }
)
async def test_lost_authorization_is_reported_for_each_name(ca: Misbehaving, case: Case) -> None:
    await ca.fails_then_serves(case)


async def test_both_names_are_reported_in_one_message(ca: Misbehaving) -> None:
    ca.proxy.stage(Kind.AUTHORIZATION, status("invalid"), times=50, after=2)
    reported = await ca.fails("validate", "")
    assert f"{NAME}: its authorization is invalid" in reported
    assert f"{OTHER_NAME}: its authorization is invalid" in reported
    ca.proxy.heal()
    await ca.serves()


@table(
    {
        "processing, for minutes": Case(
            Kind.ORDER,
            status("processing", Retry_After="400"),
            "finalize",
            r"the CA did not issue the certificate within 300 s: its order https://\S+ is still processing\. Run"
            r" 'wellkeeper renew' again in 400 s to continue this order",
        ),
        "invalid, no error": Case(
            Kind.ORDER,
            status("invalid"),
            "finalize",
            "the CA's order became invalid: the CA gave no reason. Run 'wellkeeper renew' again",
        ),
        "invalid at once": Case(
            Kind.NEW_ORDER,
            status("invalid"),
            "order",
            r"the CA answered newOrder with an invalid order: the CA gave no reason",
        ),
        "forgotten": Case(
            Kind.ORDER,
            problem(404, "malformed", "no such order"),
            "finalize",
            r"the CA no longer knows the order https://\S+\. Run 'wellkeeper renew' again to place a new order",
        ),
        "valid, no certificate": Case(
            Kind.ORDER,
            changed(without_certificate),
            "finalize",
            r"cannot download the certificate of order https://\S+: the CA localhost reports the order as valid but"
            r" names no certificate\. Report this to the CA",
        ),
    }
)
async def test_lost_or_late_order_is_reported(ca: Misbehaving, case: Case) -> None:
    await ca.fails_then_serves(case)


async def test_order_that_stays_processing_is_waited_for(ca: Misbehaving) -> None:
    orders, issued = ca.counts()
    ca.proxy.asked.clear()
    ca.proxy.stage(Kind.ORDER, status("processing", Retry_After="1"), times=3)
    await ca.serves()
    first, *_, last = ca.proxy.times(Kind.ORDER)
    assert last - first >= 3
    assert ca.counts() == (orders + 1, issued + 1)


async def test_order_not_ready_is_read_again_and_finalized(ca: Misbehaving) -> None:
    orders, issued = ca.counts()
    ca.proxy.stage(Kind.FINALIZE, problem(403, "orderNotReady", "not yet"), times=3)
    await ca.serves()
    assert ca.proxy.staged(Kind.FINALIZE) == 0
    assert ca.counts() == (orders + 1, issued + 1)


async def test_order_with_changed_authorizations_is_validated_again_in_the_next_pass(ca: Misbehaving) -> None:
    orders, issued = ca.counts()
    ca.proxy.stage(Kind.NEW_ORDER, changed(lambda members: members["authorizations"].pop()))
    await ca.fails(
        "finalize",
        r"cannot finalize the CA's order https://\S+: it now asks for other authorizations than when it was placed",
    )
    await ca.serves()
    assert ca.counts() == (orders + 1, issued + 1)


def foreign(_: bytes) -> bytes:
    """Return a valid chain for the same names with another key."""
    with temporary_folder() as folder:
        return make_server_certificate(folder, (NAME, OTHER_NAME)).certificate.read_bytes()


def with_a_key(chain: bytes) -> bytes:
    with temporary_folder() as folder:
        return chain + make_server_certificate(folder, (NAME,)).certificate_key.read_bytes()


def with_a_foreign_root(chain: bytes) -> bytes:
    return chain + foreign(chain)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (foreign, "its key is not the key in our CSR"),
        (with_a_key, "it contains a 'PRIVATE KEY' block; RFC 8555 section 11.4 allows only certificates"),
        (with_a_foreign_root, "certificate 3 of the CA's chain .* is not a CA certificate"),
        (lambda chain: chain[:200], "it cannot be parsed as PEM certificates"),
        (lambda _: b"", "it cannot be parsed as PEM certificates"),
    ],
    ids=["foreign leaf", "private key", "foreign chain behind it", "cut short", "empty"],
)
async def test_wrong_chain_is_not_installed_and_the_next_pass_places_a_new_order(
    ca: Misbehaving, edit: Callable[[bytes], bytes], words: str
) -> None:
    orders, issued = ca.counts()
    words = f"cannot install the certificate that the CA sent: {words}"
    await ca.fails_then_serves(Case(Kind.CERTIFICATE, changed_body(edit), "finalize", words))
    assert ca.counts() == (orders + 2, issued + 2)
    installed = ca.host.issuer.certificates_dir
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in installed.rglob("*chain.pem"))


def stale() -> Fault:
    """Send an already used nonce with each answer."""
    used: list[str] = []

    async def fault(_: Asked, forward: Forward) -> Reply:
        reply = await forward()
        used.append(reply.headers["Replay-Nonce"])
        return Reply(reply.status, reply.body, reply.headers | {"Replay-Nonce": used[0]})

    return fault


@pytest.mark.parametrize(
    "fault",
    [stale(), with_nonce("bm9uc2Vuc2U"), with_nonce("not base64url!"), with_nonce(None)],
    ids=["stale", "unknown", "malformed", "missing"],
)
async def test_bad_nonces_do_not_cause_a_second_order(ca: Misbehaving, fault: Fault) -> None:
    orders, issued = ca.counts()
    for kind in (Kind.NEW_ORDER, Kind.AUTHORIZATION, Kind.CHALLENGE, Kind.FINALIZE, Kind.ORDER):
        ca.proxy.stage(kind, fault, times=2)
    await ca.serves()
    ca.proxy.heal()
    assert ca.counts() == (orders + 1, issued + 1)


async def test_account_forgotten_by_the_ca_is_registered_again(folder: Path) -> None:
    async with misbehaving(folder) as fresh:
        await fresh.serves()
        registrations = _registrations(fresh)
        fresh.proxy.stage(Kind.NEW_ORDER, problem(400, "accountDoesNotExist", "who are you?"))
        await fresh.serves()
        assert fresh.proxy.staged(Kind.NEW_ORDER) == 0
        assert _registrations(fresh) > registrations
        (record,) = (fresh.host.issuer.state_dir / "accounts").glob("*.json")
        assert json.loads(record.read_text())


async def test_account_that_the_ca_keeps_forgetting_is_registered_once(folder: Path) -> None:
    async with misbehaving(folder) as fresh:
        await fresh.fails_then_serves(
            Case(
                Kind.NEW_ORDER,
                problem(400, "accountDoesNotExist", "who are you?"),
                "order",
                r"refused the order for www.example.org: accountDoesNotExist \(HTTP 400\): who are you\?",
                times=9,
            )
        )


def _registrations(ca: Misbehaving) -> int:
    return sum(one.kind is Kind.ACCOUNT and one.method == "POST" for one in ca.proxy.asked)
