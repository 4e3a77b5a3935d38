"""Which of the chains that a CA offers is taken (RFC 8555 section 7.4.2)."""

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID
from requests.utils import parse_header_links

from wellkeeper_node.certificates import reading

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


def alternate_urls(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Of every `Link` with the relation `alternate`: requests' own `links` keeps one of them only."""
    links = parse_header_links(headers.get("Link", ""))
    return tuple(link["url"] for link in links if link.get("rel") == "alternate")


def root_name(chain_pem: bytes) -> str | None:
    """The common name of whoever issued the last certificate of the chain, as certbot's --preferred-chain has it."""
    start = chain_pem.rfind(_CERTIFICATE)
    try:
        with reading.value_errors():
            topmost = x509.load_pem_x509_certificate(chain_pem[max(start, 0) :])
        names = topmost.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return None  # what is wrong with the chain is told by whoever checks it
    return str(names[0].value) if names else None
