"""Find the alternate chains that a CA offers, and the root of a chain (RFC 8555 section 7.4.2)."""

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID
from requests.utils import parse_header_links

from wellkeeper_node.certificates import reading

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


def alternate_urls(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URL of every `Link` with the relation `alternate` (`links` of requests keeps only one)."""
    links = parse_header_links(headers.get("Link", ""))
    return tuple(link["url"] for link in links if link.get("rel") == "alternate")


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
