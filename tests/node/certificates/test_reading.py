"""Unusual certificates, and those that cryptography refuses with various exceptions."""

import base64
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.fakes_deliver import NOW, FakeCa, dns
from wellkeeper_node import public_keys
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import KeyType

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example")])
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(*extensions: x509.ExtensionType) -> bytes:
    """Return a DER certificate with these extensions."""
    builder = x509.CertificateBuilder(NAME, NAME, KEY.public_key(), 5, NOW, NOW + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def unrecognized(number: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.4.{number}"), b"\x05\x00")


def with_duplicate_extension() -> bytes:
    """Return a certificate that TLS servers accept, and that cryptography loads but cannot read."""
    return certificate(unrecognized(5), unrecognized(6)).replace(b"\x2a\x03\x04\x06", b"\x2a\x03\x04\x05")


def with_unknown_version() -> bytes:
    return certificate(unrecognized(5)).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1)


def with_unknown_curve() -> bytes:
    """Return a certificate whose key is on a curve that cryptography does not know."""
    p256, unknown = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f")
    return certificate().replace(p256, unknown, 1)


def test_authority_key_identifier_without_a_key_identifier_gives_no_certificate_id() -> None:
    extension = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(NAME)], 7)
    assert reading.read_certificate(certificate(extension)).certificate_id is None


@pytest.mark.parametrize("make", [with_duplicate_extension, with_unknown_version, with_unknown_curve])
@pytest.mark.parametrize("encoding", ["DER", "PEM"])
def test_certificate_that_cryptography_refuses_is_a_value_error(make: Callable[[], bytes], encoding: str) -> None:
    data = make()
    if encoding == "PEM":
        data = to_pem(data)
    with pytest.raises(ValueError, match=r"."):
        reading.read_certificate(data)


def test_unknown_key_type_is_a_value_error_in_every_comparison() -> None:
    chain_pem = to_pem(with_unknown_curve())
    key_pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="is not supported"):
        reading.certificate_key_matches(chain_pem, key_pem)
    with pytest.raises(ValueError, match="is not supported"):
        public_keys.leaf_key_fingerprint(chain_pem)


def test_pair_that_matched_does_not_match_another_key_or_leaf() -> None:
    pair, other = (FakeCa().pair(dns("a.example"), key_type=kind) for kind in (KeyType.RSA_2048, KeyType.ECDSA_P256))
    for _ in range(2):
        assert reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)
    assert not reading.certificate_key_matches(other.chain_pem, pair.certificate_key_pem)
    assert not reading.certificate_key_matches(pair.chain_pem, other.certificate_key_pem)
    with pytest.raises(ValueError, match=r"."):
        reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem[:-40])


def test_numbers_of_an_rsa_key_are_checked_once() -> None:
    pair, seconds = FakeCa().pair(dns("a.example"), key_type=KeyType.RSA_4096), list[float]()
    for _ in range(2):
        began = time.thread_time()
        assert reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)
        seconds.append(time.thread_time() - began)
    assert seconds[1] < seconds[0] / 10


def test_number_of_remembered_pairs_is_bounded() -> None:
    remembered = reading._matching  # noqa: SLF001 - twenty thousand certificates would take a second
    remembered.update(number.to_bytes(64) for number in range(20_000))
    pair = FakeCa().pair(dns("a.example"))
    assert reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)
    assert len(remembered) == 1


def to_pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def test_unsupported_key_type_is_refused() -> None:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="Ed25519"):
        reading.load_certificate_key(pem)
