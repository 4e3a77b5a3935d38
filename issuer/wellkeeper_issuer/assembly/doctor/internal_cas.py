"""Distinguish internal and test CAs, which reach private addresses, from public ones."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from wellkeeper_issuer.known_cas import CA_DIRECTORIES, TEST_DIRECTORIES
from wellkeeper_issuer.settings import Settings

# RFC 6761, RFC 8375 and ICANN's .internal: names that public DNS does not have.
_INTERNAL: Final = (".internal", ".local", ".lan", ".home.arpa", ".test", ".localhost", ".intranet", ".corp")


def is_internal(settings: Settings, directory_url: str) -> bool:
    """Return whether the CA has roots of its own, or a host that only this network knows."""
    ca = settings.find_ca(directory_url)
    if directory_url in CA_DIRECTORIES.values():
        return False
    host = urlsplit(directory_url).hostname or ""
    return bool(ca.allow_http or ca.bundle or settings.ca_bundle) or _is_internal_host(host)


def is_trusted_by_clients(settings: Settings, directory_url: str) -> bool:
    """Return whether usual clients have the root of the CA's certificates."""
    return not is_internal(settings, directory_url) and directory_url not in TEST_DIRECTORIES


def _is_internal_host(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_INTERNAL)
