"""Identify public keys by fingerprint, RFC 7638 thumbprint and kind: pure functions."""

import base64
import hashlib
import json
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from wellkeeper_node.certificates import reading
from wellkeeper_node.model import KeyType

_JWK_CURVES: Final = {"secp256r1": ("P-256", 32), "secp384r1": ("P-384", 48), "secp521r1": ("P-521", 66)}


def leaf_key_fingerprint(chain_pem: bytes) -> str:
    """Return SHA-256 of the leaf's SubjectPublicKeyInfo in lower-case hex. Raises ValueError when not PEM."""
    with reading.value_errors():
        return _fingerprint(x509.load_pem_x509_certificate(chain_pem))


def csr_key_fingerprint(csr_der: bytes) -> str:
    """Return the same fingerprint as `leaf_key_fingerprint` for a CSR in DER."""
    with reading.value_errors():
        return _fingerprint(x509.load_der_x509_csr(csr_der))


def certificate_key_kind(certificate_key_pem: bytes) -> KeyType | None:
    """Return the kind of a private key. Raises ValueError when not PEM."""
    with reading.value_errors():
        return reading.key_type(load_pem_private_key(certificate_key_pem, password=None).public_key())


def thumbprint(key: object) -> str | None:
    """Return the thumbprint of a public key (RFC 7638 section 3); None unless it is RSA or EC."""
    members: dict[str, str]
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        members = {"e": _base64url(numbers.e), "kty": "RSA", "n": _base64url(numbers.n)}
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _JWK_CURVES:
        curve, size = _JWK_CURVES[key.curve.name]
        point = key.public_numbers()
        members = {"crv": curve, "kty": "EC", "x": _base64url(point.x, size), "y": _base64url(point.y, size)}
    else:
        return None
    digest = hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _fingerprint(owner: x509.Certificate | x509.CertificateSigningRequest) -> str:
    content = owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(content).hexdigest()


def _base64url(number: int, size: int | None = None) -> str:
    content = number.to_bytes(size or (number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
