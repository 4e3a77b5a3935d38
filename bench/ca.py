"""A CA in this process that signs everything."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from wellkeeper_issuer import pki
from wellkeeper_node.model import Identifier, IdentifierType, KeyType, Pair

_LIFETIME: Final = timedelta(days=90)


class Ca:
    """Certificates begin an hour before `now` and end after 90 days."""

    def __init__(self, now: datetime) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bench CA")])
        self._begin, self._end = now - timedelta(hours=1), now + _LIFETIME
        public, number = self._key.public_key(), x509.random_serial_number()
        own = x509.CertificateBuilder(self._name, self._name, public, number, self._begin, self._end)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._own_pem = own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def leaf(self, csr_der: bytes) -> bytes:
        """Return the certificate, PEM."""
        csr = x509.load_der_x509_csr(csr_der)
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        serial, subject = x509.random_serial_number(), x509.Name([])
        leaf = x509.CertificateBuilder(self._name, subject, csr.public_key(), serial, self._begin, self._end)
        leaf = leaf.add_extension(names, critical=True).add_extension(authority, critical=False)
        return leaf.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def pair(self, identifiers: Collection[Identifier]) -> Pair:
        """Return an ECDSA key with its certificate, and that of the CA."""
        key_pem = pki.make_certificate_key(KeyType.ECDSA_P256)
        return Pair(key_pem, self.leaf(pki.make_csr(key_pem, tuple(identifiers))) + self._own_pem)


def dns(name: str) -> Identifier:
    return Identifier(IdentifierType.DNS, name)
