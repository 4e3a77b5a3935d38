"""Make keys and CSRs, and check chains from a CA: pure functions on bytes.

No chain from a CA is used before `check_chain` has passed it (RFC 8555 sections 9.1 and 11.4).
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wellkeeper_issuer.errors import ChainError, DatesError
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Certificate, Identifier, IdentifierType, KeyType, Pair
from wellkeeper_node.wording import format_time

# CAs backdate by about an hour; a clock that is further behind would refuse new certificates, too.
_CLOCK_TOLERANCE: Final = timedelta(hours=1)
_MOST_CERTIFICATES: Final = 10
_LONGEST_CHAIN: Final = 64 * 1024
# Less is over before nginx serves it.
_SHORTEST_LIFETIME: Final = timedelta(seconds=60)
_REFUSED: Final = "cannot install the certificate that the CA sent"


_BEGIN: Final = re.compile(rb"-----BEGIN ([^\r\n]{0,60})")


_CURVES: Final = {KeyType.ECDSA_P256: ec.SECP256R1(), KeyType.ECDSA_P384: ec.SECP384R1()}


_RSA_BITS: Final = {KeyType.RSA_2048: 2048, KeyType.RSA_3072: 3072, KeyType.RSA_4096: 4096}


def make_certificate_key(key_type: KeyType) -> bytes:
    """Return a new key as PKCS #8 PEM."""
    key: PrivateKeyTypes
    if key_type in _CURVES:
        key = ec.generate_private_key(_CURVES[key_type])
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[key_type])
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_csr(certificate_key_pem: bytes, identifiers: Sequence[Identifier]) -> bytes:
    """Return a CSR in DER: identifiers as subject alternative names, empty subject (RFC 8555 section 7.4)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(_alternative_names(identifiers), critical=False)
    return builder.sign(reading.load_certificate_key(certificate_key_pem), hashes.SHA256()).public_bytes(Encoding.DER)


def make_self_signed(identifiers: Sequence[Identifier], days: int, now: datetime) -> Pair:
    """Return a placeholder so that nginx can start before the first issuance; `is_placeholder` recognizes it."""
    certificate_key_pem = make_certificate_key(KeyType.ECDSA_P256)
    key = reading.load_certificate_key(certificate_key_pem)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, reading.PLACEHOLDER_ORGANIZATION)])
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(_alternative_names(identifiers), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate_key_pem=certificate_key_pem, chain_pem=certificate.public_bytes(Encoding.PEM))


def check_chain(chain_pem: bytes, csr_der: bytes, identifiers: Iterable[Identifier], now: datetime) -> Certificate:
    """Return the leaf of the CA's chain once it is proven to be what we ordered. Raises ChainError with the difference.

    Checks form, key, identifiers, CA flags, signatures along the chain, then dates: with a DatesError, all the rest is
    correct. Does not check whether clients trust the root.
    """
    chain = _parse_chain(chain_pem)
    _check_size(chain_pem, chain)
    if reading.public_key_bytes(chain[0]) != reading.public_key_bytes(x509.load_der_x509_csr(csr_der)):
        raise ChainError(_REFUSED, "its key is not the key in our CSR")
    certificate = reading.describe(chain[0])
    _check_identifiers(certificate, frozenset(identifiers))
    for position, member in enumerate(chain):
        _check_authority(member, position)
    for child, parent in pairwise(chain):
        _check_signature(child, parent)
    for position, member in enumerate(chain):
        _check_dates(member, position, now)
    return certificate


def _parse_chain(chain_pem: bytes) -> list[x509.Certificate]:
    for match in _BEGIN.finditer(chain_pem):
        if match.group(1).strip() != b"CERTIFICATE-----":
            label = match.group(1).decode(errors="replace").strip(" -")
            raise ChainError(_REFUSED, f"it contains a {label!r} block; RFC 8555 section 11.4 allows only certificates")
    try:
        with reading.value_errors():
            chain = x509.load_pem_x509_certificates(chain_pem)
            reading.describe(chain[0])
    except ValueError as error:
        raise ChainError(_REFUSED, f"it cannot be parsed as PEM certificates: {error}") from error
    return chain


def _check_size(chain_pem: bytes, chain: Sequence[x509.Certificate]) -> None:
    """nginx would serve more, and TLS clients refuse it."""
    if len(chain) > _MOST_CERTIFICATES:
        raise ChainError(_REFUSED, f"its chain has {len(chain)} certificates, more than {_MOST_CERTIFICATES}")
    if len(chain_pem) > _LONGEST_CHAIN:
        raise ChainError(_REFUSED, f"its chain is longer than {_LONGEST_CHAIN // 1024} KiB")
    if chain[0].not_valid_after_utc - chain[0].not_valid_before_utc < _SHORTEST_LIFETIME:
        raise ChainError(_REFUSED, f"it is valid for less than {_SHORTEST_LIFETIME.seconds} s")


def _check_identifiers(certificate: Certificate, asked: frozenset[Identifier]) -> None:
    missing = ", ".join(sorted(map(str, asked - certificate.identifiers)))
    extra = ", ".join(sorted(map(str, certificate.identifiers - asked)))
    if missing or extra:
        wrong = [f"lacks {missing}"] if missing else []
        wrong += [f"has {extra}, which we did not order"] if extra else []
        raise ChainError(_REFUSED, f"it {' and '.join(wrong)}")


def _check_dates(certificate: x509.Certificate, position: int, now: datetime) -> None:
    place = _place(certificate, position)
    if certificate.not_valid_before_utc - now > _CLOCK_TOLERANCE:
        raise DatesError(
            f"{place} is not valid yet",
            f"it starts at {format_time(certificate.not_valid_before_utc)}, the clock here says {format_time(now)}",
            "Synchronize this machine's clock by NTP.",
        )
    least = _SHORTEST_LIFETIME if position == 0 else timedelta()
    if certificate.not_valid_after_utc <= now + least:
        raise DatesError(
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
        raise ChainError(_REFUSED, f"{_place(certificate, position)} has malformed extensions: {error}") from error
    if is_ca is (position == 0):
        wrong = "is a CA certificate itself" if is_ca else "is not a CA certificate"
        raise ChainError(_REFUSED, f"{_place(certificate, position)} {wrong}")


def _check_signature(child: x509.Certificate, parent: x509.Certificate) -> None:
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        signed, signer = (reading.distinguished_name(member.subject) for member in (child, parent))
        raise ChainError(_REFUSED, f"{signed!r} is not signed by the next certificate, {signer!r}") from error


def _place(certificate: x509.Certificate, position: int) -> str:
    if position == 0:
        return "the CA's certificate"
    return f"certificate {position + 1} of the CA's chain ({reading.distinguished_name(certificate.subject)})"


def _alternative_names(identifiers: Iterable[Identifier]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        x509.DNSName(identifier.value)
        if identifier.type is IdentifierType.DNS
        else x509.IPAddress(ip_address(identifier.value))
        for identifier in identifiers
    )
