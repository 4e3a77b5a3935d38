"""Read certificates and their keys: pure functions on bytes. Returned PEM ends with a newline."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from wellkeeper_client.foreign_text import one_line, without_link
from wellkeeper_node.model import Certificate, Identifier, IdentifierType, KeyAlgorithm, KeyType

# The issuer name in a self-signed placeholder, so that it is not mistaken for a real certificate.
PLACEHOLDER_ORGANIZATION: Final = "wellkeeper placeholder"
_LONGEST_NAME: Final = 200


# One chain for each renewal that may run at once.
_READ_CERTIFICATES: Final = 128
# Digests of pairs that match. OpenSSL takes 30 ms (2048 bits) to 200 ms (4096 bits) to check the numbers of an RSA key,
# and a daemon reads every pair twice in half a day. The bound is twice the number of certificates one host may have.
_matching: Final[set[bytes]] = set()
_MOST_MATCHING: Final = 20_000


_CURVE_TYPES: Final = {"secp256r1": KeyType.ECDSA_P256, "secp384r1": KeyType.ECDSA_P384}
_RSA_TYPES: Final = {2048: KeyType.RSA_2048, 3072: KeyType.RSA_3072, 4096: KeyType.RSA_4096}
# cryptography raises these beside ValueError, when it loads a certificate or reads an extension or the key.
_UNUSABLE: Final = (
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


@contextmanager
def value_errors() -> Iterator[None]:
    """Turn what cryptography raises for unusable certificates, CSRs and keys into ValueError."""
    try:
        yield
    except (ValueError, *_UNUSABLE) as error:
        raise ValueError(without_link(error)) from error


def is_placeholder(certificate: Certificate) -> bool:
    """Return True for a certificate that `make_self_signed` made."""
    return certificate.is_self_signed and certificate.issued_by == PLACEHOLDER_ORGANIZATION


def read_certificate(data: bytes) -> Certificate:
    """Read the leaf of a PEM chain, or a DER certificate. Raises ValueError when it is neither."""
    with value_errors():
        if b"-----BEGIN" in data:  # text may precede it
            return describe(x509.load_pem_x509_certificate(data))
        return describe(x509.load_der_x509_certificate(data))


def certificate_key_matches(chain_pem: bytes, certificate_key_pem: bytes) -> bool:
    """Return True when the key is the leaf's. Raises ValueError when either is not PEM."""
    digest = sha256(chain_pem).digest() + sha256(certificate_key_pem).digest()
    if digest in _matching:
        return True
    with value_errors():
        leaf_key = public_key_bytes(x509.load_pem_x509_certificate(chain_pem))
        matches = leaf_key == public_key_bytes(load_certificate_key(certificate_key_pem))
    if matches:
        if len(_matching) >= _MOST_MATCHING:
            _matching.clear()
        _matching.add(digest)
    return matches


def split_chain(chain_pem: bytes) -> tuple[bytes, bytes]:
    """Return the leaf and the rest of the chain (may be empty), each as PEM.

    Raises ValueError when not PEM or cut short: cryptography ignores a last certificate without an end.
    """
    with value_errors():
        leaf, *rest = x509.load_pem_x509_certificates(chain_pem)
    if chain_pem.count(b"-----BEGIN ") != chain_pem.count(b"-----END "):
        raise ValueError("the chain is cut short")
    return leaf.public_bytes(Encoding.PEM), b"".join(one.public_bytes(Encoding.PEM) for one in rest)


def normalise_pem(pem: bytes) -> bytes:
    """Return the PEM with plain line ends, without indentation, and with exactly one newline at its end.

    OpenSSL, and so nginx, refuses forms that cryptography reads; and files are often concatenated.
    """
    return b"\n".join(line.strip() for line in pem.strip().splitlines()) + b"\n"


# A pass describes one leaf about six times (files, the CA's reply, handshakes), which takes twenty times as long as
# parsing it.
@lru_cache(maxsize=_READ_CERTIFICATES)
def describe(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        identifiers=frozenset(read_identifiers(certificate)),
        serial=f"{certificate.serial_number:x}",
        fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        issued_by=distinguished_name(certificate.issuer),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_self_signed=_is_self_signed(certificate),
        key_algorithm=_key_algorithm(certificate),
        certificate_id=_certificate_id(certificate),
        key_type=key_type(certificate.public_key()),
    )


def _certificate_id(certificate: x509.Certificate) -> str | None:
    """Return the name by RFC 9773 section 4.1: key identifier of the authority, DER bytes of the serial."""
    try:
        key_identifier = certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    if not key_identifier:
        return None
    serial = certificate.serial_number
    parts = (key_identifier, serial.to_bytes(serial.bit_length() // 8 + 1))
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def key_type(key: object) -> KeyType | None:
    """Return the type of a public key; None when CAs do not accept it."""
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA_TYPES.get(key.key_size)
    return _CURVE_TYPES.get(key.curve.name) if isinstance(key, ec.EllipticCurvePublicKey) else None


def _key_algorithm(certificate: x509.Certificate) -> KeyAlgorithm | None:
    match certificate.public_key():
        case ec.EllipticCurvePublicKey():
            return KeyAlgorithm.ECDSA
        case rsa.RSAPublicKey():
            return KeyAlgorithm.RSA
        case _:
            return None


def read_identifiers(owner: x509.Certificate | x509.CertificateSigningRequest) -> set[Identifier]:
    """Return the subject alternative names of the types that ACME supports."""
    try:
        names = owner.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    dns = {Identifier(IdentifierType.DNS, name.lower()) for name in names.get_values_for_type(x509.DNSName)}
    return dns | {Identifier(IdentifierType.IP, str(ip)) for ip in names.get_values_for_type(x509.IPAddress)}


def _is_self_signed(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def distinguished_name(name: x509.Name) -> str:
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return one_line(attribute.value, _LONGEST_NAME)
    return one_line(name.rfc4514_string(), _LONGEST_NAME) or "(empty name)"


def load_certificate_key(certificate_key_pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    key = load_pem_private_key(certificate_key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"a certificate key is ECDSA or RSA, not {type(key).__name__}")
    return key


def public_key_bytes(
    owner: x509.Certificate | x509.CertificateSigningRequest | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> bytes:
    return owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
