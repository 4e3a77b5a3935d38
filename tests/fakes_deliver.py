"""Fakes of the node: certificates in memory, an nginx that reads them, and handshakes."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tests.keys import certificate_key
from wellkeeper_issuer import pki
from wellkeeper_node.model import (
    Identifier,
    IdentifierType,
    KeyType,
    Pair,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def dns(name: str) -> Identifier:
    return Identifier(IdentifierType.DNS, name)


class FakeCa:
    """A CA with a root and an intermediate; every part of a leaf can be made wrong."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._sign(_name("Fake Root"), self._root_key.public_key(), _name("Fake Root"), self._root_key)
        self.intermediate = self._sign(
            _name("Fake Intermediate"), self._key.public_key(), _name("Fake Root"), self._root_key
        )

    def leaf(
        self,
        certificate_key_pem: bytes,
        *identifiers: Identifier,
        starts_in: timedelta = timedelta(hours=-1),
        days: float = 90,
        is_ca: bool = False,
        issuer_url: str = "",
    ) -> bytes:
        """Return the leaf alone, PEM."""
        key = load_pem_private_key(certificate_key_pem, password=None)
        csr = x509.load_der_x509_csr(pki.make_csr(certificate_key_pem, identifiers))
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        begin = self.now + starts_in
        builder = x509.CertificateBuilder(
            self.intermediate.subject,
            x509.Name([]),
            csr.public_key(),
            x509.random_serial_number(),
            begin,
            begin + timedelta(days=days),
        )
        builder = builder.add_extension(names, critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        if issuer_url:
            place = x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
            )
            builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
        if key.public_key() != csr.public_key():
            raise ValueError("the CSR is its key is not the key in our CSR")
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def chain(self, certificate_key_pem: bytes, *identifiers: Identifier) -> bytes:
        return self.leaf(certificate_key_pem, *identifiers) + self.intermediate.public_bytes(Encoding.PEM)

    def pair(self, *identifiers: Identifier, key_type: KeyType = KeyType.ECDSA_P256) -> Pair:
        """Return a key from `tests.keys` and its chain."""
        certificate_key_pem = certificate_key(key_type)
        return Pair(certificate_key_pem, self.chain(certificate_key_pem, *identifiers))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        parent: x509.Name,
        parent_key: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        begin, end = self.now - timedelta(days=100), self.now + timedelta(days=1000)
        builder = x509.CertificateBuilder(parent, subject, key, x509.random_serial_number(), begin, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return builder.sign(parent_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
