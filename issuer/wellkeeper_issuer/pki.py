"""Make keys and CSRs, and check chains from a CA: pure functions on bytes.

No chain from a CA is used before `check_chain` has passed it (RFC 8555 sections 9.1 and 11.4).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from wellkeeper_issuer.errors import ChainError, DatesError
from wellkeeper_node.certificates import chains, placeholders, reading
from wellkeeper_node.model import Certificate, Identifier, KeyType

_REFUSED: Final = "cannot install the certificate that the CA sent"


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
    builder = builder.add_extension(placeholders.alternative_names(identifiers), critical=False)
    return builder.sign(reading.load_certificate_key(certificate_key_pem), hashes.SHA256()).public_bytes(Encoding.DER)


def check_chain(chain_pem: bytes, csr_der: bytes, identifiers: Iterable[Identifier], now: datetime) -> Certificate:
    """Return the leaf of the CA's chain once it is proven to be what we ordered. Raises ChainError with the difference.

    Checks form, key, identifiers, CA flags, signatures along the chain, then dates: with a DatesError, all the rest is
    correct. Does not check whether clients trust the root.
    """
    try:
        chain = chains.parse_chain(chain_pem)
        if reading.public_key_bytes(chain[0]) != reading.public_key_bytes(x509.load_der_x509_csr(csr_der)):
            raise ChainError(_REFUSED, "its key is not the key in our CSR")
        return chains.check_chain(chain, identifiers, now)
    except chains.DatesFault as fault:
        raise DatesError(fault.what, fault.why, fault.remedy) from fault
    except chains.ChainFault as fault:
        raise ChainError(_REFUSED, str(fault)) from fault
