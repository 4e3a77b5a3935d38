"""A CA that answers with errors, with web pages or not at all: the message, and the next successful pass."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from stand.fault_proxy import Asked, Fault, Forward, Kind, Reply
from stand.faults import answer, cut, cut_after, problem, slow
from stand.processes import temporary_folder
from tests.integration.misbehaving import Case, Misbehaving, misbehaving, table

# All rows share one host, because each ends with a successful pass.
pytestmark = pytest.mark.integration

_PAGE = "<html><head><title>Down for maintenance</title></head><body>We are back soon.</body></html>"
_INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.fixture
async def ca() -> AsyncIterator[Misbehaving]:
    with temporary_folder() as folder:
        async with misbehaving(folder) as running:
            yield running


def busy_until(seconds: float) -> Fault:
    """Answer 503 with Retry-After as a date in a zone other than UTC, `seconds` after the request."""

    async def fault(asked: Asked, forward: Forward) -> Reply:
        at = (datetime.now(UTC) + timedelta(seconds=seconds)).astimezone(_INDIA)
        staged = problem(503, "rateLimited", "busy", Retry_After=f"{at:%a, %d %b %Y %H:%M:%S %z}")
        reply = await staged(asked, forward)
        assert reply is not None
        return reply

    return fault


@table(
    {
        "429 with seconds": Case(
            Kind.NEW_ORDER,
            problem(429, "rateLimited", "too many new orders", Retry_After="120"),
            "order",
            r"refused the order for .*: rateLimited \(HTTP 429\): too many new orders. Retry after 120 s",
        ),
        "503 with a date": Case(
            Kind.NEW_ORDER,
            busy_until(600),
            "order",
            r"refused the order for .*: rateLimited \(HTTP 503\): busy. Retry after (5\d\d|600) s",
        ),
        "429 on a read, for longer than a pass waits": Case(
            Kind.AUTHORIZATION,
            problem(429, "rateLimited", "too many reads", Retry_After="3600"),
            "validate",
            r"refused the request for authorization https://\S+: rateLimited \(HTTP 429\): too many reads. Retry after",
        ),
        "500": Case(
            Kind.FINALIZE,
            problem(500, "serverInternal", "the HSM is on fire"),
            "finalize",
            r"refused the finalization of order https://\S+: serverInternal \(HTTP 500\): the HSM is on fire",
        ),
        "500 on every read": Case(
            Kind.AUTHORIZATION,
            problem(500, "serverInternal", "database"),
            "validate",
            r"refused the request for authorization https://\S+: serverInternal \(HTTP 500\): database",
            times=3,
        ),
        "500 on the challenge": Case(
            Kind.CHALLENGE,
            problem(500, "serverInternal", "database"),
            "validate",
            r"refused the response to challenge https://\S+: serverInternal \(HTTP 500\): database",
        ),
        "a web page instead of an error": Case(
            Kind.NEW_ORDER,
            answer(502, _PAGE),
            "order",
            r"refused the order for .*: .*\(HTTP 502\): the reply is not a problem document: <html>.*maintenance",
        ),
        "a web page instead of the directory": Case(
            Kind.DIRECTORY,
            answer(200, _PAGE),
            "order",
            r"cannot read the CA localhost's reply to the request for its directory https://\S+: it is not JSON: ",
        ),
        "a web page instead of the order": Case(
            Kind.ORDER,
            answer(200, _PAGE),
            "order",
            r"reply to the request for order https://\S+: ",
        ),
        "a web page instead of the certificate": Case(
            Kind.CERTIFICATE,
            answer(200, _PAGE),
            "finalize",
            "cannot install the certificate that the CA sent: it cannot be parsed as PEM certificates",
        ),
        "409 with a problem": Case(
            Kind.NEW_ORDER,
            problem(409, "alreadyReplaced", "replaced by order 7"),
            "order",
            r"refused the order for .*: alreadyReplaced \(HTTP 409\): replaced by order 7",
        ),
        "409 without a problem": Case(
            Kind.NEW_ORDER,
            answer(409),
            "order",
            r"refused the order for .*: .*\(HTTP 409\): the reply is not a problem document: no body",
        ),
    }
)
async def test_error_is_reported_in_the_cas_words_and_the_next_pass_succeeds(ca: Misbehaving, case: Case) -> None:
    await ca.fails_then_serves(case)


@table(
    {
        "directory": Case(
            Kind.DIRECTORY,
            cut,
            "order",
            r"no answer from the CA \S+ to the request for its directory https://\S+: ",
            times=2,
        ),
        "nonce": Case(
            Kind.NONCE,
            cut,
            "order",
            "no answer from the CA localhost to the (request for a nonce|account registration)",
            times=2,
        ),
        "challenge": Case(Kind.AUTHORIZATION, cut, "validate", "no answer from the CA localhost to ", times=3, after=1),
        "finalize": Case(Kind.FINALIZE, cut, "finalize", "no answer from the CA localhost to "),
        "finalize, which the CA took": Case(
            Kind.FINALIZE, cut_after, "finalize", "no answer from the CA localhost to "
        ),
        "certificate": Case(Kind.CERTIFICATE, cut, "finalize", "no answer from the CA localhost to ", times=3),
    }
)
async def test_cut_connection_is_reported_and_the_next_pass_resumes_the_order(ca: Misbehaving, case: Case) -> None:
    orders, issued = ca.counts()
    await ca.fails_then_serves(case)
    assert ca.counts() == (orders + 1, issued + 1)


async def test_account_whose_reply_is_lost_is_found_again(folder: Path) -> None:
    async with misbehaving(folder) as fresh:
        case = Case(Kind.ACCOUNT, cut_after, "order", "no answer from the CA localhost to the account registration: ")
        await fresh.fails_then_serves(case)
        assert fresh.counts() == (1, 1)


@pytest.mark.parametrize("fault", [cut_after, slow(31)], ids=["cut", "after 31 s"])
async def test_order_whose_reply_is_lost_is_placed_twice(ca: Misbehaving, fault: Fault) -> None:
    orders, issued = ca.counts()
    await ca.fails_then_serves(
        Case(Kind.NEW_ORDER, fault, "order", "no answer from the CA localhost to the order for ")
    )
    assert ca.counts() == (orders + 2, issued + 1)


@table(
    {
        "the directory, cut": Case(Kind.DIRECTORY, cut, "", ""),
        "the nonce, cut": Case(Kind.NONCE, cut, "", ""),
        "a read, cut twice": Case(Kind.AUTHORIZATION, cut, "", "", times=2),
        "the order, cut": Case(Kind.ORDER, cut, "", ""),
        "the certificate, cut twice": Case(Kind.CERTIFICATE, cut, "", "", times=2),
        "the challenge, which the CA took": Case(Kind.CHALLENGE, cut_after, "", ""),
        "500 on a read": Case(Kind.ORDER, problem(500, "serverInternal", "database"), "", "", times=2),
        "a web page on a read": Case(Kind.AUTHORIZATION, answer(504, _PAGE), "", ""),
        "slow directory": Case(Kind.DIRECTORY, slow(1), "", ""),
        "slow order": Case(Kind.NEW_ORDER, slow(1), "", ""),
        "slow challenge": Case(Kind.CHALLENGE, slow(1), "", ""),
        "slow finalize": Case(Kind.FINALIZE, slow(1), "", ""),
        "slow certificate": Case(Kind.CERTIFICATE, slow(1), "", ""),
    }
)
async def test_short_outage_does_not_fail_the_pass(ca: Misbehaving, case: Case) -> None:
    orders, issued = ca.counts()
    ca.proxy.stage(case.kind, case.fault, times=case.times, after=case.after)
    await ca.serves()
    assert ca.proxy.staged(case.kind) == 0
    assert ca.counts() == (orders + 1, issued + 1)


@pytest.mark.parametrize(
    "fault",
    [problem(429, "rateLimited", "too many reads", Retry_After="2"), busy_until(3)],
    ids=["seconds", "date in another zone"],
)
@pytest.mark.parametrize("kind", [Kind.AUTHORIZATION, Kind.CERTIFICATE], ids=["authorization", "certificate"])
async def test_read_waits_for_retry_after(ca: Misbehaving, kind: Kind, fault: Fault) -> None:
    ca.proxy.asked.clear()
    ca.proxy.stage(kind, fault)
    await ca.serves()
    first, second, *_ = ca.proxy.times(kind)
    # HTTP dates have whole seconds only.
    assert second - first >= 2
