"""order: place an order at the CA, or resume the recorded one, and read its authorizations.

The certificate key and the CSR are on disk before newOrder, the order's URL right after it: after a crash the order is
resumed, and no second one is made (RFC 8555 section 7.4). A new one names what it replaces (RFC 9773 section 5).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Attempt, Lineage, Order, Ordered, Status
from wellkeeper_issuer.ports.ca import CertificateAuthority
from wellkeeper_issuer.ports.state import Attempts
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.model import Identifier

# What Boulder, Pebble and others answer when only `replaces` is wrong: replaced already, issued to another account,
# unknown there, or not understood (for some serials Pebble reports that as an internal error).
_REFUSALS_OF_REPLACES: Final = frozenset({"alreadyReplaced", "conflict", "unauthorized", "malformed", "serverInternal"})
_TOO_MANY_REQUESTS: Final = 429
_USABLE: Final = frozenset({Status.PENDING, Status.READY, Status.PROCESSING, Status.VALID})


class _UnusableOrderError(OrderError):
    """The order is not for what was ordered."""


async def _unlimited(*, replaces: bool) -> None:
    """Allow every order."""


async def _nothing_given(lineage: Lineage, account_thumbprint: str) -> None:
    """Return None: a new key each time."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a new order. `replaces` is the RFC 9773 identifier of the predecessor.

    `reserve(replaces=…)` is awaited before each newOrder; it may wait for a slot or raise OrderError.
    `request` returns the certificate key and the CSR, as `wellkeeper_issuer.obtain.request` does; None: both are new.
    """

    replaces: str | None = None
    reserve: Callable[..., Awaitable[None]] = _unlimited
    request: Callable[[Lineage, str], Awaitable[tuple[bytes, bytes] | None]] = _nothing_given


async def order(
    lineage: Lineage,
    ca: CertificateAuthority,
    attempts: Attempts,
    earlier: Attempt | None,
    terms: Terms | None = None,
) -> tuple[Attempt, Ordered]:
    """Return the recorded attempt and its order, pending or further; only a pending one comes with authorizations.

    `earlier` is the attempt that was recorded before, at this CA or another; its order is resumed if possible. Raises
    OrderError, and ChallengeError when an authorization cannot be read.
    """
    attempt = _resumable(lineage, ca, earlier)
    ordered = await _resume(attempt, ca)
    if attempt is None or ordered is None:
        terms = terms or Terms()
        attempt = await _start(lineage, ca, attempts, terms)
        placed = await _place(lineage, ca, attempts, terms)
        ordered = await _with_authorizations(placed, ca, lineage.identifiers)
    return attempt, ordered


def _resumable(lineage: Lineage, ca: CertificateAuthority, attempt: Attempt | None) -> Attempt | None:
    if attempt is None or attempt.directory_url != ca.directory_url or attempt.order_url is None:
        return None
    return attempt if attempt.under_way.fits(lineage) else None


async def _resume(attempt: Attempt | None, ca: CertificateAuthority) -> Ordered | None:
    """Return the order of the attempt, or None if it cannot lead to a certificate any more."""
    if attempt is None or attempt.order_url is None:
        return None
    try:
        found = await ca.read_order(attempt.order_url)
        if found is None or found.status not in _USABLE:
            return None
        ordered = await _with_authorizations(found, ca, attempt.identifiers)
    except _UnusableOrderError:
        return None
    except WellkeeperError as error:
        # An order that the CA refuses to show is lost (it forgot it, or us); a busy or absent CA may show it later.
        if not _is_refused(error):
            raise
        return None
    # A CA may be slow to see that an order with such an authorization is lost.
    is_recoverable = all(one.status in {Status.PENDING, Status.VALID} for one in ordered.authorizations)
    return ordered if is_recoverable else None


def _is_refused(error: WellkeeperError) -> bool:
    status = error.problem.status if error.problem else None
    return status is not None and 400 <= status < 500 and status != _TOO_MANY_REQUESTS


async def _with_authorizations(placed: Order, ca: CertificateAuthority, ordered: Collection[Identifier]) -> Ordered:
    """Raises OrderError: a CA cannot make us read and answer more than we ordered."""
    if placed.status is not Status.PENDING:
        return Ordered(placed, ())
    if len(placed.authorization_urls) > len(ordered):
        raise _unusable(
            placed, f"it has {len(placed.authorization_urls)} authorizations for {len(ordered)} identifiers"
        )
    found = tuple(await asyncio.gather(*map(ca.read_authorization, placed.authorization_urls)))
    for one in found:
        if one.identifier not in ordered:
            raise _unusable(placed, f"it has an authorization for {one.identifier}, which we did not order")
    return Ordered(placed, found)


def _unusable(placed: Order, why: str) -> "_UnusableOrderError":
    what, remedy = f"cannot use the CA's order {placed.url}", "Report this to the CA."
    return _UnusableOrderError(what, why, remedy, retry=Retry.LATER)


async def _start(lineage: Lineage, ca: CertificateAuthority, attempts: Attempts, terms: Terms) -> Attempt:
    await terms.reserve(replaces=terms.replaces is not None)  # before a key is made
    request = await terms.request(lineage, ca.thumbprint) or await _new_request(lineage)
    account_url = await ca.account_url()
    attempt = Attempt(
        lineage=lineage.name,
        directory_url=ca.directory_url,
        identifiers=lineage.identifiers,
        certificate_key_pem=request[0],
        csr_der=request[1],
        account_url=account_url,
    )
    await attempts.record_attempt(attempt)
    return attempt


async def _new_request(lineage: Lineage) -> tuple[bytes, bytes]:
    # RSA keys take seconds to make; the event loop must not wait for them.
    certificate_key_pem = await asyncio.to_thread(pki.make_certificate_key, lineage.key_type)
    return certificate_key_pem, pki.make_csr(certificate_key_pem, lineage.identifiers)


async def _place(lineage: Lineage, ca: CertificateAuthority, attempts: Attempts, terms: Terms) -> Order:
    await ca.prepare()  # so that a cancelled pass waits for the reply to newOrder at most
    try:
        return await _shielded(_send(lineage, ca, attempts, terms.replaces))
    except OrderError as error:
        if terms.replaces is None or error.problem is None or error.problem.name not in _REFUSALS_OF_REPLACES:
            raise
    await terms.reserve(replaces=False)
    return await _shielded(_send(lineage, ca, attempts, None))


async def _send(lineage: Lineage, ca: CertificateAuthority, attempts: Attempts, replaces: str | None) -> Order:
    placed = await ca.new_order(lineage.identifiers, lineage.profile, replaces)
    await attempts.record_order(lineage.name, placed.url)
    if placed.status is Status.INVALID:
        raise OrderError(
            "the CA answered newOrder with an invalid order",
            str(placed.problem) if placed.problem else "the CA gave no reason",
            problem=placed.problem,
            retry=Retry.LATER,
        )
    return placed


async def _shielded(work: Coroutine[Any, Any, Order]) -> Order:
    """Run `work` to its end even when cancelled: an order that the CA made and we forgot counts against its limits."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
