"""Check certificate chains: form, size, names, CA flags, signatures and dates. Pure functions on bytes.

Neither the issuer nor a node uses a chain before it passed (RFC 8555 sections 9.1 and 11.4).
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import AuthorityInformationAccessOID

from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Certificate, Identifier
from wellkeeper_node.wording import format_time

# CAs backdate by about an hour; a clock that is further behind would refuse new certificates, too.
CLOCK_TOLERANCE: Final = timedelta(hours=1)
LONGEST_CHAIN: Final = 64 * 1024
_MOST_CERTIFICATES: Final = 10
# Less is over before nginx serves it.
_SHORTEST_LIFETIME: Final = timedelta(seconds=60)
_BEGIN: Final = re.compile(rb"-----BEGIN ([^\r\n]{0,60})")


class ChainFault(Exception):  # noqa: N818 - callers translate it
    """The chain is not usable; the text says why."""


class DatesFault(ChainFault):
    """The chain is not valid now by our clock, which may be wrong; everything else is correct."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.remedy = remedy


def parse_chain(chain_pem: bytes) -> list[x509.Certificate]:
    """Return the certificates, the leaf first. Raises ChainFault for other content, and for more than TLS allows."""
    for match in _BEGIN.finditer(chain_pem):
        if match.group(1).strip() != b"CERTIFICATE-----":
            label = match.group(1).decode(errors="replace").strip(" -")
            raise ChainFault(f"it contains a {label!r} block; RFC 8555 section 11.4 allows only certificates")
    try:
        with reading.value_errors():
            chain = x509.load_pem_x509_certificates(chain_pem)
            reading.describe(chain[0])
    except ValueError as error:
        raise ChainFault(f"it cannot be parsed as PEM certificates: {error}") from error
    _check_size(chain_pem, chain)
    return chain


def check_chain(chain: Sequence[x509.Certificate], identifiers: Iterable[Identifier], now: datetime) -> Certificate:
    """Return the leaf if the chain is for these identifiers, complete and valid. Raises ChainFault; DatesFault last.

    Does not check whether clients trust the root.
    """
    certificate = reading.describe(chain[0])
    _check_identifiers(certificate, frozenset(identifiers))
    for position, member in enumerate(chain):
        _check_authority(member, position)
    for child, parent in pairwise(chain):
        _check_signature(child, parent)
    for position, member in enumerate(chain):
        _check_dates(member, position, now)
    return certificate


def check_whole(chain: Sequence[x509.Certificate]) -> None:
    """Refuse a leaf alone, which browsers do not trust, if it says where that of its issuer is. Raises ChainFault.

    A private root that issues leaves itself has nothing to say there (RFC 5280 section 4.2.2.1).
    """
    try:
        with reading.value_errors():
            places = chain[0].extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return
    if len(chain) == 1 and any(one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in places):
        raise ChainFault("it has no intermediate certificate")


def _check_size(chain_pem: bytes, chain: Sequence[x509.Certificate]) -> None:
    """nginx would serve more, and TLS clients refuse it."""
    if len(chain) > _MOST_CERTIFICATES:
        raise ChainFault(f"its chain has {len(chain)} certificates, more than {_MOST_CERTIFICATES}")
    if len(chain_pem) > LONGEST_CHAIN:
        raise ChainFault(f"its chain is longer than {LONGEST_CHAIN // 1024} KiB")
    if chain[0].not_valid_after_utc - chain[0].not_valid_before_utc < _SHORTEST_LIFETIME:
        raise ChainFault(f"it is valid for less than {_SHORTEST_LIFETIME.seconds} s")


def _check_identifiers(certificate: Certificate, asked: frozenset[Identifier]) -> None:
    missing = ", ".join(sorted(map(str, asked - certificate.identifiers)))
    extra = ", ".join(sorted(map(str, certificate.identifiers - asked)))
    if missing or extra:
        wrong = [f"lacks {missing}"] if missing else []
        wrong += [f"has {extra}, which we did not order"] if extra else []
        raise ChainFault(f"it {' and '.join(wrong)}")


def _check_dates(certificate: x509.Certificate, position: int, now: datetime) -> None:
    place = _place(certificate, position)
    if certificate.not_valid_before_utc - now > CLOCK_TOLERANCE:
        raise DatesFault(
            f"{place} is not valid yet",
            f"it starts at {format_time(certificate.not_valid_before_utc)}, the clock here says {format_time(now)}",
            "Synchronize this machine's clock by NTP.",
        )
    least = _SHORTEST_LIFETIME if position == 0 else timedelta()
    if certificate.not_valid_after_utc <= now + least:
        raise DatesFault(
            f"{place} has expired" if certificate.not_valid_after_utc <= now else f"{place} is about to expire",
            f"it is valid until {format_time(certificate.not_valid_after_utc)}, the clock here says {format_time(now)}",
            "Check this machine's clock first.",
        )


def _check_authority(certificate: x509.Certificate, position: int) -> None:
    try:
        with reading.value_errors():
            is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    except ValueError as error:
        raise ChainFault(f"{_place(certificate, position)} has malformed extensions: {error}") from error
    if is_ca is (position == 0):
        wrong = "is a CA certificate itself" if is_ca else "is not a CA certificate"
        raise ChainFault(f"{_place(certificate, position)} {wrong}")


def _check_signature(child: x509.Certificate, parent: x509.Certificate) -> None:
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        signed, signer = (reading.distinguished_name(member.subject) for member in (child, parent))
        raise ChainFault(f"{signed!r} is not signed by the next certificate, {signer!r}") from error


def _place(certificate: x509.Certificate, position: int) -> str:
    if position == 0:
        return "the CA's certificate"
    return f"certificate {position + 1} of the CA's chain ({reading.distinguished_name(certificate.subject)})"
