"""Find the alternate chains that a CA offers, and the root of a chain (RFC 8555 section 7.4.2)."""

import re
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from wellkeeper_node.certificates import reading

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
# RFC 8288 section 3: `<URL>; name="value"; …`, and a comma before the next one.
_LINK: Final = re.compile(r"<([^<>]*)>([^<]*)")
_ALTERNATE: Final = re.compile(r';\s*rel="?alternate"?\s*(?:[;,]|$)', re.IGNORECASE)
# Let's Encrypt has had two.
_MOST_ALTERNATES: Final = 10


def alternate_urls(links: Sequence[str]) -> tuple[str, ...]:
    """Return the URLs with the relation `alternate` in the Link headers, ten at most."""
    found = [url for header in links for url, rest in _LINK.findall(header) if _ALTERNATE.search(rest)]
    return tuple(found[:_MOST_ALTERNATES])


def root_name(chain_pem: bytes) -> str | None:
    """Return the common name of the last certificate's issuer, as certbot's --preferred-chain compares it."""
    start = chain_pem.rfind(_CERTIFICATE)
    try:
        with reading.value_errors():
            topmost = x509.load_pem_x509_certificate(chain_pem[max(start, 0) :])
        names = topmost.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return None  # `check_chain` reports what is wrong
    return str(names[0].value) if names else None
