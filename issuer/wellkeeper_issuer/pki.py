"""Make keys and CSRs, and check what a CA sent: pure functions on bytes.

A chain that a CA sent is not believed before `check_chain` has passed
it (RFC 8555 sections 9.1 and 11.4).
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

# CAs backdate by about an hour; a clock that is further behind would also refuse what the CA just issued.
_CLOCK_TOLERANCE: Final = timedelta(hours=1)


_BEGIN: Final = re.compile(rb"-----BEGIN ([^\r\n]{0,60})")


_CURVES: Final = {KeyType.ECDSA_P256: ec.SECP256R1(), KeyType.ECDSA_P384: ec.SECP384R1()}


_RSA_BITS: Final = {KeyType.RSA_2048: 2048, KeyType.RSA_3072: 3072, KeyType.RSA_4096: 4096}


def make_certificate_key(key_type: KeyType) -> bytes:
    """A new key as PKCS #8 PEM."""
    key: PrivateKeyTypes
    if key_type in _CURVES:
        key = ec.generate_private_key(_CURVES[key_type])
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[key_type])
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_csr(certificate_key_pem: bytes, identifiers: Sequence[Identifier]) -> bytes:
    """A CSR in DER with the identifiers as subject alternative names and an empty subject (RFC 8555 section 7.4)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(_alternative_names(identifiers), critical=False)
    return builder.sign(reading.load_certificate_key(certificate_key_pem), hashes.SHA256()).public_bytes(Encoding.DER)


def make_self_signed(identifiers: Sequence[Identifier], days: int, now: datetime) -> Pair:
    """A placeholder with which nginx can start before the first certificate; `is_placeholder` recognises it."""
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
    """The leaf of what the CA sent, proven to be what was asked for; raises ChainError saying what is not.

    DatesError comes last: all but the dates is proven then.

    Checks form, key, identifiers, signatures along the chain, dates and CA flags; not whether a client trusts the root.
    """
    chain = _parse_chain(chain_pem)
    if reading.public_key_bytes(chain[0]) != reading.public_key_bytes(x509.load_der_x509_csr(csr_der)):
        raise ChainError("the CA's certificate is for another key than the one in our CSR; it is not installed")
    certificate = reading.describe(chain[0])
    _check_identifiers(certificate, frozenset(identifiers))
    for position, one in enumerate(chain):
        _check_authority(one, position)
    for child, parent in pairwise(chain):
        _check_signature(child, parent)
    for position, one in enumerate(chain):
        _check_dates(one, position, now)
    return certificate


def _parse_chain(chain_pem: bytes) -> list[x509.Certificate]:
    for match in _BEGIN.finditer(chain_pem):
        if match.group(1).strip() != b"CERTIFICATE-----":
            label = match.group(1).decode(errors="replace").strip(" -")
            raise ChainError(
                f"the CA's chain contains a {label!r} block; RFC 8555 section 11.4 allows certificates only;"
                " it is not installed"
            )
    try:
        with reading.value_errors():
            chain = x509.load_pem_x509_certificates(chain_pem)
            reading.describe(chain[0])
    except ValueError as error:
        raise ChainError(f"the CA's chain cannot be parsed as PEM certificates: {error}") from error
    return chain


def _check_identifiers(certificate: Certificate, asked: frozenset[Identifier]) -> None:
    missing = ", ".join(sorted(map(str, asked - certificate.identifiers)))
    extra = ", ".join(sorted(map(str, certificate.identifiers - asked)))
    if missing or extra:
        wrong = [f"lacks {missing}"] if missing else []
        wrong += [f"has {extra} that nobody asked for"] if extra else []
        raise ChainError(f"the CA's certificate {' and '.join(wrong)}; it is not installed")


def _check_dates(certificate: x509.Certificate, position: int, now: datetime) -> None:
    what = _place(certificate, position)
    if certificate.not_valid_before_utc - now > _CLOCK_TOLERANCE:
        raise DatesError(
            f"{what} is not valid before {format_time(certificate.not_valid_before_utc)}, here it is"
            f" {format_time(now)}; set this machine's clock by NTP"
        )
    if certificate.not_valid_after_utc <= now:
        raise DatesError(
            f"{what} expired on {format_time(certificate.not_valid_after_utc)}, here it is"
            f" {format_time(now)}; look at this machine's clock first"
        )


def _check_authority(certificate: x509.Certificate, position: int) -> None:
    try:
        with reading.value_errors():
            is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    except ValueError as error:
        raise ChainError(f"{_place(certificate, position)} has malformed extensions: {error}") from error
    if is_ca is (position == 0):
        wrong = "is a CA certificate itself" if is_ca else "is no CA certificate, yet stands above the leaf"
        raise ChainError(f"{_place(certificate, position)} {wrong}; it is not installed")


def _check_signature(child: x509.Certificate, parent: x509.Certificate) -> None:
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        signed, signer = (reading.distinguished_name(one.subject) for one in (child, parent))
        raise ChainError(
            f"the CA's chain does not hold: {signed!r} is not signed by the certificate that follows, {signer!r};"
            " it is not installed"
        ) from error


def _place(certificate: x509.Certificate, position: int) -> str:
    if position == 0:
        return "the CA's certificate"
    return f"certificate {position + 1} of the CA's chain ({reading.distinguished_name(certificate.subject)})"


def _alternative_names(identifiers: Iterable[Identifier]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        x509.DNSName(one.value) if one.type is IdentifierType.DNS else x509.IPAddress(ip_address(one.value))
        for one in identifiers
    )
