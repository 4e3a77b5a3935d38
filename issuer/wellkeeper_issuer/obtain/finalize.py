"""finalize: send the CSR to the CA, download the chain, and check that it is what was ordered.

RFC 8555 section 7.4: the order's status says what to do next, whichever reply it came with.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import DatesError, FinalizeError
from wellkeeper_issuer.model import Attempt, Order, Status
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.ports.state import Attempts
from wellkeeper_node.errors import Retry
from wellkeeper_node.ports import Clock

_FIRST_WAIT_SECONDS: Final = 0.01
_LONGEST_WAIT_SECONDS: Final = 8.0
# Let's Encrypt issues within seconds, others promise minutes.
_LIMIT_SECONDS: Final = 300.0
# Reading an order is cheap, and some CAs that ask for a day (ZeroSSL) issue within seconds.
_LONGEST_ASKED_SECONDS: Final = 600.0
_OPEN: Final = frozenset({Status.PENDING, Status.READY, Status.PROCESSING})


async def finalize(
    attempt: Attempt, placed: Order, ca: CertificateAuthority, attempts: Attempts, clock: Clock
) -> bytes:
    """Return the checked chain (PEM), recorded on disk. Raises FinalizeError; the order can then be resumed."""
    order = await _valid_order(attempt, placed, ca, attempts, clock)
    chain_pem = await ca.read_chain(order)
    try:
        pki.check_chain(chain_pem, attempt.csr_der, attempt.identifiers, clock.now())
    except DatesError:
        # Our clock may be wrong: keep the chain, or each pass would use up a certificate.
        await attempts.record_chain(attempt.lineage, chain_pem)
        raise
    except FinalizeError:
        # The CA will return the same chain for this order forever: only a new order can help.
        await attempts.forget_attempt(attempt.lineage)
        raise
    await attempts.record_chain(attempt.lineage, chain_pem)
    return chain_pem


async def _finalized(attempt: Attempt, order: Order, ca: CertificateAuthority, attempts: Attempts) -> Order:
    try:
        return await ca.finalize(order, attempt.csr_der)
    except FinalizeError as error:
        # The CA would refuse the same CSR forever: a new order needs another one.
        if error.problem is not None and error.problem.name == "badCSR":
            await attempts.forget_attempt(attempt.lineage)
        raise


async def _valid_order(
    attempt: Attempt, placed: Order, ca: CertificateAuthority, attempts: Attempts, clock: Clock
) -> Order:
    known = placed.authorization_urls, placed.finalize_url
    deadline = clock.monotonic() + _LIMIT_SECONDS
    wait_seconds = _FIRST_WAIT_SECONDS
    # All authorizations are valid, so a pending order is ready, or will be soon: the reply to the CSR says so.
    order = replace(placed, status=Status.READY) if placed.status is Status.PENDING else placed
    while order.status is not Status.VALID:
        if order.status is Status.READY:
            order = (await _finalized(attempt, order, ca, attempts)).completed(*known)
        if order.status is Status.VALID:
            break
        _check_can_still_succeed(order, placed)
        pause_seconds = min(order.retry_after_seconds or wait_seconds, _LONGEST_ASKED_SECONDS)
        if clock.monotonic() + pause_seconds > deadline:
            raise FinalizeError(
                f"the CA did not issue the certificate within {_LIMIT_SECONDS:.0f} s",
                f"its order {order.url} is still {order.status}",
                f"Run 'wellkeeper renew' again in {pause_seconds:.0f} s to continue this order.",
                retry=Retry.SOON,
                retry_at=clock.now() + timedelta(seconds=pause_seconds),
            )
        await clock.sleep(pause_seconds)
        wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
        order = (await _read(order.url, ca)).completed(*known)
    return order


def _check_can_still_succeed(order: Order, placed: Order) -> None:
    """Raise FinalizeError if waiting cannot lead to a certificate."""
    if order.status not in _OPEN:
        raise FinalizeError(
            f"the CA's order became {order.status}",
            str(order.problem) if order.problem else "the CA gave no reason",
            "Run 'wellkeeper renew' again to place a new order.",
            problem=order.problem,
        )
    if order.status is Status.PENDING and not set(order.authorization_urls) <= set(placed.authorization_urls):
        raise FinalizeError(
            f"cannot finalize the CA's order {order.url}",
            "it now asks for other authorizations than when it was placed",
            "Run 'wellkeeper renew' again to validate those.",
        )


async def _read(url: str, ca: CertificateAuthority) -> Order:
    order = await ca.read_order(url)
    if order is None:
        raise FinalizeError(
            f"the CA no longer knows the order {url}", remedy="Run 'wellkeeper renew' again to place a new order."
        )
    return order
