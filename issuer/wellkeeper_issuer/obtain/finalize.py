"""finalize: the CSR goes to the CA, the chain comes back, and is proven to be what was asked for.

RFC 8555 section 7.4: the order's status says what to do next, whatever reply it came with.
"""

from datetime import timedelta
from typing import Final

from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import DatesError, FinalizeError
from wellkeeper_issuer.model import Attempt, Order, Status
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.ports.state import Attempts
from wellkeeper_node.errors import Retry
from wellkeeper_node.ports import Clock

_FIRST_WAIT_SECONDS: Final = 0.05
_LONGEST_WAIT_SECONDS: Final = 8.0
# Let's Encrypt issues within seconds, others promise minutes.
_LIMIT_SECONDS: Final = 300.0
_OPEN: Final = frozenset({Status.PENDING, Status.READY, Status.PROCESSING})


async def finalize(
    attempt: Attempt, placed: Order, ca: CertificateAuthority, attempts: Attempts, clock: Clock
) -> bytes:
    """The checked chain (PEM), durable in the journal. Raises FinalizeError; the order can be resumed then."""
    order = await _valid_order(attempt, placed, ca, attempts, clock)
    chain_pem = await ca.read_chain(order)
    try:
        pki.check_chain(chain_pem, attempt.csr_der, attempt.identifiers, clock.now())
    except DatesError:
        # Our clock may be wrong: the chain is kept, or each pass would burn a certificate.
        await attempts.record_chain(attempt.lineage, chain_pem)
        raise
    except FinalizeError:
        # The CA will answer this order with the same chain for ever: only a new one can help.
        await attempts.forget_attempt(attempt.lineage)
        raise
    await attempts.record_chain(attempt.lineage, chain_pem)
    return chain_pem


async def _finalized(attempt: Attempt, order: Order, ca: CertificateAuthority, attempts: Attempts) -> Order:
    try:
        return await ca.finalize(order, attempt.csr_der)
    except FinalizeError as error:
        # The same CSR would be refused for ever: a new order has to bring another one.
        if error.problem is not None and error.problem.name == "badCSR":
            await attempts.forget_attempt(attempt.lineage)
        raise


async def _valid_order(
    attempt: Attempt, placed: Order, ca: CertificateAuthority, attempts: Attempts, clock: Clock
) -> Order:
    deadline = clock.monotonic() + _LIMIT_SECONDS
    wait_seconds = _FIRST_WAIT_SECONDS
    order = await _read(placed.url, ca)
    while order.status is not Status.VALID:
        if order.status is Status.READY:
            order = await _finalized(attempt, order, ca, attempts)
        if order.status is Status.VALID:
            break
        _check_hope(order, placed)
        pause_seconds = order.retry_after_seconds or wait_seconds
        if clock.monotonic() + pause_seconds > deadline:
            raise FinalizeError(
                f"the CA's order {order.url} is still {order.status}, and a pass waits {_LIMIT_SECONDS:.0f} s at most;"
                f" it stays open: run renew again in {pause_seconds:.0f} s to go on with it",
                retry=Retry.SOON,
                retry_at=clock.now() + timedelta(seconds=pause_seconds),
            )
        await clock.sleep(pause_seconds)
        wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
        order = await _read(order.url, ca)
    return order


def _check_hope(order: Order, placed: Order) -> None:
    """Whether waiting may help; raises FinalizeError."""
    if order.status not in _OPEN:
        raise FinalizeError(
            f"the CA's order became {order.status}: {order.problem or 'without a reason'}; run renew again",
            problem=order.problem,
        )
    if order.status is Status.PENDING and not set(order.authorization_urls) <= set(placed.authorization_urls):
        raise FinalizeError(
            f"the CA's order {order.url} asks for other authorizations now than when it was placed; it stays open:"
            " run renew again to prove those"
        )


async def _read(url: str, ca: CertificateAuthority) -> Order:
    order = await ca.read_order(url)
    if order is None:
        raise FinalizeError(f"the CA does not know the order {url} any more; run renew again for a new one")
    return order
