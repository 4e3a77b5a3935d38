"""What of a name was bought, by the public suffix list: the part that CAs count certificates by.

Reading the list takes 30 ms, so that happens with the first order, not with the import.
"""

import functools
import ipaddress

from publicsuffixlist import PublicSuffixList


def registered_domain(value: str) -> str:
    """`www.example.co.uk` → `example.co.uk`; a public suffix, an IPv4 address and an IPv6 /64 stand for themselves.

    As Let's Encrypt counts; the list is the one of the installed `publicsuffixlist` package.
    """
    if ":" in value:
        return str(ipaddress.IPv6Network((value, 64), strict=False))
    if value.replace(".", "").isdecimal():
        return value
    return _suffixes().privatesuffix(value) or value


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
