"""Find the registered domain of a name in the public suffix list: CAs count certificates per registered domain.

Reading the list takes 30 ms, so the first order reads it, not the import.
"""

import functools
import ipaddress

from publicsuffixlist import PublicSuffixList


def registered_domain(value: str) -> str:
    """Return `example.co.uk` for `www.example.co.uk`, the /64 of an IPv6 address, all else unchanged.

    As Let's Encrypt counts. The list is that of the installed `publicsuffixlist` package.
    """
    if ":" in value:
        return str(ipaddress.IPv6Network((value, 64), strict=False))
    if value.replace(".", "").isdecimal():
        return value
    return _suffixes().privatesuffix(value) or value


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
