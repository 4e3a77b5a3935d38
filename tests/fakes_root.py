"""A root that signs leaves in this process."""

from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from wellkeeper_node.ports import Clock

_ROOT_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fake Root")])


class FakeRoot:
    """Signs leaves for CSRs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        begin, end = clock.now() - timedelta(days=1000), clock.now() + timedelta(days=1000)
        self._certificate = (
            x509.CertificateBuilder(_ROOT_NAME, _ROOT_NAME, self._key.public_key(), 1, begin, end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def chain(self, csr_der: bytes, days: int = 90, *, has_ari: bool = True) -> bytes:
        """Leaf and root, PEM; without an authority key identifier there is nothing to ask renewalInfo for."""
        csr = x509.load_der_x509_csr(csr_der)
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        begin = self._clock.now() - timedelta(hours=1)
        serial, subject = x509.random_serial_number(), x509.Name([])
        end = begin + timedelta(days=days)
        builder = x509.CertificateBuilder(_ROOT_NAME, subject, csr.public_key(), serial, begin, end)
        builder = builder.add_extension(names, critical=True)
        if has_ari:
            parent = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
            builder = builder.add_extension(parent, critical=False)
        leaf = builder.sign(self._key, hashes.SHA256())
        return leaf.public_bytes(Encoding.PEM) + self._certificate.public_bytes(Encoding.PEM)
