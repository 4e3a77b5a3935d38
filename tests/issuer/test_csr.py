"""CSRs of the administrator: accepted ones, and the message of each refusal."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID, NameOID
from josepy.b64 import b64encode
from josepy.jwk import JWKEC, JWKRSA

from tests.fakes_deliver import FakeCa, dns
from tests.keys import certificate_key, rsa_key
from wellkeeper_issuer import pki
from wellkeeper_issuer.csr import check_csr
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import Identifier, IdentifierType, KeyType

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

A, B = dns("a.example"), dns("b.example")
V6 = Identifier(IdentifierType.IP, "2001:db8::7")
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa_key()
MUST_STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])


def make_csr(
    key: Key = P256,
    names: Sequence[x509.GeneralName] = (x509.DNSName("a.example"),),
    common_name: str | None = None,
    more: Sequence[x509.ExtensionType] = (),
) -> x509.CertificateSigningRequest:
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for one in more:
        builder = builder.add_extension(one, critical=False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def pem(csr: x509.CertificateSigningRequest) -> bytes:
    return csr.public_bytes(Encoding.PEM)


def private(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def check(data: bytes, *identifiers: Identifier, thumbprints: Sequence[str] = ()) -> bytes:
    return check_csr(data, "/etc/web.csr", identifiers or (A,), thumbprints)


def refusal(data: bytes, *identifiers: Identifier, thumbprints: Sequence[str] = ()) -> str:
    with pytest.raises(SettingsError) as caught:
        check(data, *identifiers, thumbprints=thumbprints)
    assert caught.value.retry is Retry.NEVER
    assert "/etc/web.csr" in caught.value.what
    return str(caught.value)


@pytest.mark.parametrize(
    "key",
    [P256, ec.generate_private_key(ec.SECP384R1()), RSA, rsa_key("3072")],
    ids=["P-256", "P-384", "RSA 2048", "RSA 3072"],
)
def test_pem_and_der_are_accepted(key: Key) -> None:
    csr = make_csr(key)
    der = csr.public_bytes(Encoding.DER)
    assert check(pem(csr)) == check(der) == der
    assert check(pem(csr).replace(b" CERTIFICATE REQ", b" NEW CERTIFICATE REQ")) == der
    assert check(b"Certificate Request:\n    Data:\n" + pem(csr)) == der


def test_names_may_be_in_any_order_and_field() -> None:
    names = [x509.DNSName("B.example"), x509.IPAddress(ip_address("2001:db8::7"))]
    check(pem(make_csr(names=names, common_name="A.example")), V6, A, B)
    check(pem(make_csr(names=(), common_name="a.example")))


@pytest.mark.parametrize(
    ("csr", "words"),
    [
        (make_csr(), "it lacks b.example."),
        (
            make_csr(names=[x509.DNSName(f"{letter}.example") for letter in "abc"]),
            "it has c.example. Make the names in the CSR and the identifiers in the settings equal, then run 'well",
        ),
        (make_csr(names=[x509.DNSName("c.example")]), "lacks a.example, b.example and has c.example"),
        (make_csr(common_name="Our Company"), "has a common name that is not an identifier: 'Our Company' is neither"),
        (make_csr(names=[x509.DNSName("*.a.example")]), "and has *.a.example."),
        (
            make_csr(names=[*map(x509.DNSName, ("a.example", "b.example")), x509.RFC822Name("me@a.example")]),
            "contains me@a.example, which is neither a DNS name nor an IP address",
        ),
    ],
    ids=["too few", "too many", "others", "company", "wildcard", "mail"],
)
def test_names_must_match_the_settings(csr: x509.CertificateSigningRequest, words: str) -> None:
    assert words in refusal(pem(csr), A, B)


@pytest.mark.parametrize(
    ("csr", "words"),
    [
        (make_csr(rsa_key("1024")), "public CAs do not accept RSA 1024"),
        (make_csr(rsa_key("2048-exponent-3")), "public CAs do not accept RSA 2048 with exponent 3."),
        (make_csr(rsa_key("2056")), "public CAs do not accept RSA 2056"),
        (make_csr(ec.generate_private_key(ec.SECP521R1())), "public CAs do not accept ECDSA on secp521r1."),
        (make_csr(ed25519.Ed25519PrivateKey.generate()), "public CAs do not accept Ed25519. Use a P-256"),
        (make_csr(more=[MUST_STAPLE]), "requests must-staple (TLS feature)"),
    ],
    ids=["short", "exponent", "odd size", "P-521", "Ed25519", "must-staple"],
)
def test_csr_that_no_ca_accepts_is_refused_with_the_reason(csr: x509.CertificateSigningRequest, words: str) -> None:
    assert words in refusal(pem(csr))


def test_signature_of_another_key_is_detected() -> None:
    der = bytearray(make_csr().public_bytes(Encoding.DER))
    der[-1] ^= 1
    assert "is not signed with its own key" in refusal(bytes(der))


def test_weak_signature_is_refused() -> None:
    """Replace the algorithm's name, since the library does not sign such a CSR."""
    sha256, sha1 = bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06092a864886f70d010105")
    weak = make_csr(RSA).public_bytes(Encoding.DER).replace(sha256, sha1)
    assert "no CA accepts signatures with sha1" in refusal(weak)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not a CSR in PEM or DER"),
        (b"hello", "is not a CSR in PEM or DER"),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "is not a CSR in PEM or DER",
        ),
        (FakeCa().pair(A).chain_pem, "contains CERTIFICATE, CERTIFICATE. Put exactly one CERTIFICATE REQUEST there"),
        (pem(make_csr()) * 2, "contains CERTIFICATE REQUEST, CERTIFICATE REQUEST. Put exactly one"),
        (private(P256) + pem(make_csr()), "contains a private key. Remove the key"),
    ],
    ids=["nothing", "text", "damaged", "a chain", "two", "with its key"],
)
def test_invalid_csr_file_is_reported(data: bytes, words: str) -> None:
    assert words in refusal(data)


def test_encrypted_private_key_is_detected_too() -> None:
    encrypted = P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    assert "contains a private key" in refusal(encrypted + pem(make_csr()))


@pytest.mark.parametrize("key", [P256, RSA], ids=["ECDSA", "RSA"])
def test_account_key_is_refused_as_a_certificate_key(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    thumbprint = public_keys.thumbprint(key.public_key())
    assert thumbprint
    assert "its key is an account key" in refusal(pem(make_csr(key)), thumbprints=["other", thumbprint])
    check(pem(make_csr(key)), thumbprints=["other"])


@pytest.mark.parametrize("key_type", [KeyType.ECDSA_P256, KeyType.ECDSA_P384, KeyType.RSA_2048])
def test_keys_are_recognised(key_type: KeyType) -> None:
    key_pem = certificate_key(key_type)
    assert public_keys.certificate_key_kind(key_pem) is key_type
    csr_der = pki.make_csr(key_pem, [A])
    assert public_keys.csr_key_fingerprint(csr_der) == public_keys.leaf_key_fingerprint(FakeCa().leaf(key_pem, A))


def test_thumbprints_match_the_acme_library() -> None:
    for key_type in KeyType:
        key = load_pem_private_key(certificate_key(key_type), None, unsafe_skip_rsa_key_validation=True)
        jwk = JWKRSA(key=key) if isinstance(key, rsa.RSAPrivateKey) else JWKEC(key=key)
        assert public_keys.thumbprint(key.public_key()) == b64encode(jwk.thumbprint()).decode()


def test_other_keys_have_no_kind_and_no_thumbprint() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    assert (reading.key_type(key.public_key()), public_keys.thumbprint(key.public_key())) == (None, None)


def with_name_of_unknown_kind() -> bytes:
    """Return a signed CSR with an X.400 address among its alternative names."""
    names = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x04\xa3\x02\x05\x00")
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


def with_unknown_version() -> bytes:
    return with_name_of_unknown_kind().replace(b"\x02\x01\x00", b"\x02\x01\x05", 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (with_name_of_unknown_kind, "has malformed extensions: x400Address"),
        (with_unknown_version, "is not a CSR in PEM or DER: 5 is not a valid CSR version"),
    ],
)
def test_csr_with_unusual_parsing_errors_is_refused(make: Callable[[], bytes], words: str) -> None:
    assert refusal(make(), A).startswith(f"/etc/web.csr {words}")
