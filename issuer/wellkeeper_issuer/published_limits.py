"""What CAs have published about how much they give: their limits, as `wellkeeper_issuer.obtain.limits` counts them.

Limits per address and second are kept by the throttle of orders; pauses of names after 1 152 failures in a row are not
limits to stay below but ends that backoff keeps far away.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from wellkeeper_issuer import known_cas
from wellkeeper_issuer.records import Limit, Scope, Spent

_HOUR: Final = 3600.0
_WEEK: Final = 7 * 24 * _HOUR

# letsencrypt.org/docs/rate-limits, as of 2026-08-05. Token buckets there, which refill evenly; never more than `count`
# in any window is within a bucket of that size, and what people reckon with.
LETS_ENCRYPT: Final = (
    Limit(Spent.ORDER, Scope.ACCOUNT, 300, 3 * _HOUR, exempts_renewals=True),
    Limit(Spent.CERTIFICATE, Scope.REGISTERED_DOMAIN, 50, _WEEK, exempts_renewals=True),
    Limit(Spent.CERTIFICATE, Scope.EXACT_SET, 5, _WEEK),
    Limit(Spent.FAILED_VALIDATION, Scope.IDENTIFIER, 5, _HOUR),
)

# letsencrypt.org/docs/staging-environment. Certificates are limited at 30 000, which nobody tests with.
LETS_ENCRYPT_STAGING: Final = (
    Limit(Spent.ORDER, Scope.ACCOUNT, 1500, 3 * _HOUR, exempts_renewals=True),
    Limit(Spent.FAILED_VALIDATION, Scope.IDENTIFIER, 200, _HOUR),
)

_BY_DIRECTORY: Final[Mapping[str, Sequence[Limit]]] = {
    known_cas.LETS_ENCRYPT: LETS_ENCRYPT,
    known_cas.LETS_ENCRYPT_STAGING: LETS_ENCRYPT_STAGING,
}


def known_limits(directory_url: str) -> Sequence[Limit]:
    """Empty for a CA that has published none; its Retry-After is honoured all the same."""
    return _BY_DIRECTORY.get(directory_url, ())
