"""CSRs of the administrator: read, and refused with the reason when no certificate can come of them.

Pure functions on bytes. The certificate key stays wherever the CSR was made (RFC 8555 section 7.4 says what a CSR must
name, section 11.1 that its key must not be an account key).
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings.values import parse_identifier
from wellkeeper_node import public_keys
from wellkeeper_node.certificates.reading import read_identifiers, value_errors
from wellkeeper_node.model import Identifier

_BEGIN: Final = re.compile(rb"-----BEGIN ([^\r\n-]{0,60})-----")
_LABELS: Final = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
_EXPONENT: Final = 65537
_WEAK_HASHES: Final = frozenset({"md5", "sha1"})
_KEYS: Final = "P-256, P-384, RSA 2048, 3072 or 4096"


def check_csr(data: bytes, where: str, identifiers: Collection[Identifier], thumbprints: Collection[str]) -> bytes:
    """The CSR in DER; `data` is PEM or DER. Raises SettingsError that names `where` it was read.

    `thumbprints` (RFC 7638) are those of our account keys.
    """
    csr = _load(data, where)
    _check_key(csr, where)
    _check_signature(csr, where)
    if public_keys.thumbprint(csr.public_key()) in thumbprints:
        raise SettingsError(
            f"{where} is for an account key, which must not be a certificate key, too (RFC 8555 section 11.1);"
            " make a CSR with a key of its own"
        )
    _check_extensions(csr, where)
    _check_identifiers(csr, where, frozenset(identifiers))
    return csr.public_bytes(Encoding.DER)


def _load(data: bytes, where: str) -> x509.CertificateSigningRequest:
    labels = _BEGIN.findall(data)
    if any(b"PRIVATE KEY" in label for label in labels):
        raise SettingsError(f"{where} holds a private key; take it out: with a CSR the key stays where it is")
    if labels and (len(labels) > 1 or labels[0] not in _LABELS):
        found = ", ".join(label.decode(errors="replace") for label in labels)
        raise SettingsError(f"{where} holds {found}; exactly one CERTIFICATE REQUEST belongs there")
    try:
        with value_errors():
            return x509.load_pem_x509_csr(data) if labels else x509.load_der_x509_csr(data)
    except ValueError as error:
        raise SettingsError(f"{where} is no CSR in PEM or DER: {error}") from error


def _check_key(csr: x509.CertificateSigningRequest, where: str) -> None:
    try:
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{where} has a key that cannot be used: {error}; public CAs take {_KEYS}") from error
    exponent = key.public_numbers().e if isinstance(key, rsa.RSAPublicKey) else None
    if public_keys.kind(key) is None or exponent not in {None, _EXPONENT}:
        match key:
            case rsa.RSAPublicKey():
                found = f"RSA {key.key_size} with the exponent {exponent}"
            case ec.EllipticCurvePublicKey():
                found = f"ECDSA on {key.curve.name}"
            case _:
                found = type(key).__name__.strip("_").removesuffix("PublicKey")
        raise SettingsError(f"{where} has a key of the kind {found}; public CAs take {_KEYS}")


def _check_signature(csr: x509.CertificateSigningRequest, where: str) -> None:
    try:
        algorithm = csr.signature_hash_algorithm
        if algorithm is not None and algorithm.name in _WEAK_HASHES:
            raise SettingsError(f"{where} is signed with {algorithm.name}, which no CA takes; sign it with SHA-256")
        is_valid = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{where} is signed in a way that cannot be checked: {error}; sign it again") from error
    if not is_valid:
        raise SettingsError(f"{where} is not signed with the key that it names; make a new one")


def _check_extensions(csr: x509.CertificateSigningRequest, where: str) -> None:
    try:
        with value_errors():
            extensions = csr.extensions
    except ValueError as error:
        raise SettingsError(f"{where} has malformed extensions: {error}; make a new one") from error
    if any(one.oid == ExtensionOID.TLS_FEATURE for one in extensions):
        raise SettingsError(
            f"{where} asks for must-staple (TLS feature), which no CA can be asked for any more: Let's Encrypt ended"
            " OCSP in 2025, and nginx could not staple; make it without"
        )


def _check_identifiers(csr: x509.CertificateSigningRequest, where: str, wanted: frozenset[Identifier]) -> None:
    found = frozenset(read_identifiers(csr) | _common_names(csr, where))
    missing = ", ".join(sorted(map(str, wanted - found)))
    extra = ", ".join(sorted(map(str, found - wanted)))
    if missing or extra:
        wrong = [f"lacks {missing}"] if missing else []
        wrong += [f"has {extra}, which the settings do not name"] if extra else []
        raise SettingsError(f"{where} {' and '.join(wrong)}: its names and the settings' identifiers must be equal")
    others = [one for one in _alternative_names(csr) if not isinstance(one, x509.DNSName | x509.IPAddress)]
    if others:
        raise SettingsError(f"{where} names {others[0].value}, which is neither a DNS name nor an IP address")


def _common_names(csr: x509.CertificateSigningRequest, where: str) -> set[Identifier]:
    """RFC 8555 section 7.4: a name may stand there instead of, or besides, among the alternative names."""
    names = [str(one.value) for one in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        return {parse_identifier(name) for name in names}
    except ValueError as error:
        raise SettingsError(
            f"{where} has a common name that is no identifier: {error}; leave the subject empty"
        ) from None


def _alternative_names(csr: x509.CertificateSigningRequest) -> Sequence[x509.GeneralName]:
    try:
        return list(csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()
