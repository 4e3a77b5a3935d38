"""The published rate limits of CAs, as `wellkeeper_issuer.obtain.limits` counts them.

The throttle of orders keeps limits per address and second. Backoff keeps names far below the 1 152 failures in a row
after which Let's Encrypt pauses them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from wellkeeper_issuer import known_cas
from wellkeeper_issuer.records import Limit, Scope, Spent

_HOUR: Final = 3600.0
_WEEK: Final = 7 * 24 * _HOUR

# letsencrypt.org/docs/rate-limits, as of 2026-08-05. Let's Encrypt uses token buckets, which refill evenly. Never more
# than `count` in any window stays within such a bucket, and is easier to understand.
LETS_ENCRYPT: Final = (
    Limit(Spent.ORDER, Scope.ACCOUNT, 300, 3 * _HOUR, exempts_renewals=True),
    Limit(Spent.CERTIFICATE, Scope.REGISTERED_DOMAIN, 50, _WEEK, exempts_renewals=True),
    Limit(Spent.CERTIFICATE, Scope.EXACT_SET, 5, _WEEK),
    Limit(Spent.FAILED_VALIDATION, Scope.IDENTIFIER, 5, _HOUR),
)

# letsencrypt.org/docs/staging-environment. The limit of 30 000 certificates is out of reach for tests.
LETS_ENCRYPT_STAGING: Final = (
    Limit(Spent.ORDER, Scope.ACCOUNT, 1500, 3 * _HOUR, exempts_renewals=True),
    Limit(Spent.FAILED_VALIDATION, Scope.IDENTIFIER, 200, _HOUR),
)

_BY_DIRECTORY: Final[Mapping[str, Sequence[Limit]]] = {
    known_cas.LETS_ENCRYPT: LETS_ENCRYPT,
    known_cas.LETS_ENCRYPT_STAGING: LETS_ENCRYPT_STAGING,
}


def known_limits(directory_url: str) -> Sequence[Limit]:
    """Return the CA's limits; empty if it has published none. Its Retry-After still counts."""
    return _BY_DIRECTORY.get(directory_url, ())
