"""The directory URLs of well-known CAs, by their names in the settings."""

from collections.abc import Mapping
from typing import Final

LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING: Final = "https://acme-staging-v02.api.letsencrypt.org/directory"

CA_DIRECTORIES: Final[Mapping[str, str]] = {
    "letsencrypt": LETS_ENCRYPT,
    "letsencrypt-staging": LETS_ENCRYPT_STAGING,
    "google": "https://dv.acme-v02.api.pki.goog/directory",
    "google-staging": "https://dv.acme-v02.test-api.pki.goog/directory",
    "zerossl": "https://acme.zerossl.com/v2/DV90",
    "sslcom-rsa": "https://acme.ssl.com/sslcom-dv-rsa",
    "sslcom-ecc": "https://acme.ssl.com/sslcom-dv-ecc",
    "actalis": "https://acme-api.actalis.com/acme/directory",
}

# No browser trusts the certificates of these CAs.
TEST_DIRECTORIES: Final = frozenset({LETS_ENCRYPT_STAGING, CA_DIRECTORIES["google-staging"]})
# Let's Encrypt's staging CA names itself so; for certificates of which no state says who issued them.
_STAGING: Final = "(STAGING)"


def is_of_test_ca(directory_url: str, issued_by: str) -> bool:
    """Return True for a certificate of a staging CA: one of these directories ("" if unknown), or named so."""
    return directory_url in TEST_DIRECTORIES or issued_by.startswith(_STAGING)
