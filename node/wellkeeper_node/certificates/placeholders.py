"""Self-signed certificates, so that nginx can start before there is one of a CA."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wellkeeper_node.certificates import chains, reading
from wellkeeper_node.model import Identifier, IdentifierType, Pair


def make_self_signed(identifiers: Sequence[Identifier], days: int, now: datetime) -> Pair:
    """Return a placeholder; `reading.is_placeholder` recognizes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, reading.PLACEHOLDER_ORGANIZATION)])
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - chains.CLOCK_TOLERANCE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(alternative_names(identifiers), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate_key_pem=certificate_key_pem, chain_pem=certificate.public_bytes(Encoding.PEM))


def alternative_names(identifiers: Iterable[Identifier]) -> x509.SubjectAlternativeName:
    """Return the extension with these identifiers, also for a CSR."""
    return x509.SubjectAlternativeName(
        x509.DNSName(identifier.value)
        if identifier.type is IdentifierType.DNS
        else x509.IPAddress(ip_address(identifier.value))
        for identifier in identifiers
    )
