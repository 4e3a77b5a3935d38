"""Check the administrator's CSRs before a CA sees them: pure functions on bytes.

The certificate key stays where the CSR was made. RFC 8555 section 7.4 defines the names in a CSR; section 11.1 forbids
account keys.
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
from wellkeeper_node.certificates.reading import key_type, read_identifiers, value_errors
from wellkeeper_node.model import Identifier
from wellkeeper_node.wording import with_reload

_BEGIN: Final = re.compile(rb"-----BEGIN ([^\r\n-]{0,60})-----")
_LABELS: Final = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
_EXPONENT: Final = 65537
_AGAIN: Final = "Create the CSR again."
_WEAK_HASHES: Final = frozenset({"md5", "sha1"})
_KEYS: Final = "Use a P-256, P-384, RSA 2048, 3072 or 4096 key."


def check_csr(data: bytes, where: str, identifiers: Collection[Identifier], thumbprints: Collection[str]) -> bytes:
    """Return the CSR in DER; `data` is PEM or DER. Raises SettingsError naming `where` it was read.

    `thumbprints` are the RFC 7638 thumbprints of our account keys.
    """
    csr = _load(data, where)
    _check_key(csr, where)
    _check_signature(csr, where)
    if public_keys.thumbprint(csr.public_key()) in thumbprints:
        raise SettingsError(
            f"cannot use {where}",
            "its key is an account key, which RFC 8555 section 11.1 forbids for certificates",
            "Create a new key and a CSR for it.",
        )
    _check_extensions(csr, where)
    _check_identifiers(csr, where, frozenset(identifiers))
    return csr.public_bytes(Encoding.DER)


def _load(data: bytes, where: str) -> x509.CertificateSigningRequest:
    labels = _BEGIN.findall(data)
    if any(b"PRIVATE KEY" in label for label in labels):
        raise SettingsError(f"{where} contains a private key", remedy="Remove the key: only the CSR belongs there.")
    if labels and (len(labels) > 1 or labels[0] not in _LABELS):
        found = ", ".join(label.decode(errors="replace") for label in labels)
        raise SettingsError(f"{where} contains {found}", remedy="Put exactly one CERTIFICATE REQUEST there.")
    try:
        with value_errors():
            return x509.load_pem_x509_csr(data) if labels else x509.load_der_x509_csr(data)
    except ValueError as error:
        raise SettingsError(f"{where} is not a CSR in PEM or DER", str(error)) from error


def _check_key(csr: x509.CertificateSigningRequest, where: str) -> None:
    try:
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"cannot use the key in {where}", str(error), _KEYS) from error
    exponent = key.public_numbers().e if isinstance(key, rsa.RSAPublicKey) else None
    if key_type(key) is None or exponent not in {None, _EXPONENT}:
        match key:
            case rsa.RSAPublicKey():
                found = f"RSA {key.key_size} with exponent {exponent}"
            case ec.EllipticCurvePublicKey():
                found = f"ECDSA on {key.curve.name}"
            case _:
                found = type(key).__name__.strip("_").removesuffix("PublicKey")
        raise SettingsError(f"cannot use the key in {where}", f"public CAs do not accept {found}", _KEYS)


def _check_signature(csr: x509.CertificateSigningRequest, where: str) -> None:
    try:
        algorithm = csr.signature_hash_algorithm
        if algorithm is not None and algorithm.name in _WEAK_HASHES:
            raise SettingsError(
                f"cannot use {where}", f"no CA accepts signatures with {algorithm.name}", "Sign it with SHA-256."
            )
        is_valid = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"cannot verify the signature of {where}", str(error), _AGAIN) from error
    if not is_valid:
        raise SettingsError(f"{where} is not signed with its own key", remedy=_AGAIN)


def _check_extensions(csr: x509.CertificateSigningRequest, where: str) -> None:
    try:
        with value_errors():
            extensions = csr.extensions
    except ValueError as error:
        raise SettingsError(f"{where} has malformed extensions", str(error), _AGAIN) from error
    if any(extension.oid == ExtensionOID.TLS_FEATURE for extension in extensions):
        raise SettingsError(
            f"{where} requests must-staple (TLS feature)",
            "Let's Encrypt ended OCSP in 2025, so that nginx could not staple",
            "Create the CSR without it.",
        )


def _check_identifiers(csr: x509.CertificateSigningRequest, where: str, wanted: frozenset[Identifier]) -> None:
    found = frozenset(read_identifiers(csr) | _common_names(csr, where))
    missing = ", ".join(sorted(map(str, wanted - found)))
    extra = ", ".join(sorted(map(str, found - wanted)))
    if missing or extra:
        wrong = [f"lacks {missing}"] if missing else []
        wrong += [f"has {extra}"] if extra else []
        raise SettingsError(
            f"the names in {where} differ from the settings",
            f"it {' and '.join(wrong)}",
            with_reload("Make the names in the CSR and the identifiers in the settings equal."),
        )
    others = [name for name in _alternative_names(csr) if not isinstance(name, x509.DNSName | x509.IPAddress)]
    if others:
        raise SettingsError(f"{where} contains {others[0].value}, which is neither a DNS name nor an IP address")


def _common_names(csr: x509.CertificateSigningRequest, where: str) -> set[Identifier]:
    """Return the common names, which RFC 8555 section 7.4 allows beside or instead of alternative names."""
    names = [str(attribute.value) for attribute in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        return {parse_identifier(name) for name in names}
    except ValueError as error:
        raise SettingsError(
            f"{where} has a common name that is not an identifier", str(error), "Leave the subject empty."
        ) from None


def _alternative_names(csr: x509.CertificateSigningRequest) -> Sequence[x509.GeneralName]:
    try:
        return list(csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()
