"""Keys, CSRs and chains."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes_deliver import NOW, FakeCa, dns
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import ChainError, DatesError, FinalizeError
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.model import Certificate, Identifier, IdentifierType, KeyAlgorithm, KeyType

A, B = dns("a.example"), dns("b.example")
V4 = Identifier(IdentifierType.IP, "192.0.2.7")
V6 = Identifier(IdentifierType.IP, "2001:db8::7")


@pytest.fixture(scope="module")
def ca() -> FakeCa:
    return FakeCa()


@pytest.fixture(scope="module")
def key() -> bytes:
    return pki.make_certificate_key(KeyType.ECDSA_P256)


def check(chain_pem: bytes, key_pem: bytes, identifiers: Sequence[Identifier], now: datetime) -> Certificate:
    return pki.check_chain(chain_pem, pki.make_csr(key_pem, identifiers), identifiers, now)


@pytest.mark.parametrize("key_type", [KeyType.ECDSA_P256, KeyType.ECDSA_P384, KeyType.RSA_2048])
def test_certificate_key_is_pkcs8_and_signs_a_csr(key_type: KeyType) -> None:
    key_pem = pki.make_certificate_key(key_type)
    assert key_pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert x509.load_der_x509_csr(pki.make_csr(key_pem, [A])).is_signature_valid


def test_csr_carries_names_and_addresses_and_no_common_name(key: bytes) -> None:
    csr = x509.load_der_x509_csr(pki.make_csr(key, [A, V4, V6]))
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]
    assert csr.subject == x509.Name([])


def test_good_chain_is_described(ca: FakeCa, key: bytes) -> None:
    certificate = check(ca.chain(key, A, V6), key, [V6, A], NOW)
    assert certificate.identifiers == {A, V6}
    assert certificate.issued_by == "Fake Intermediate"
    assert certificate.not_before == NOW - timedelta(hours=1)
    assert certificate.lifetime == timedelta(days=90)
    assert not certificate.is_self_signed
    assert not reading.is_placeholder(certificate)


def test_text_before_the_certificates_is_ignored_everywhere(ca: FakeCa, key: bytes) -> None:
    chain = b"Bag Attributes\n" + ca.chain(key, A)
    assert reading.read_certificate(chain) == check(chain, key, [A], NOW)


def test_leaf_reads_the_same_from_pem_and_der(ca: FakeCa, key: bytes) -> None:
    chain = ca.chain(key, A)
    der = x509.load_pem_x509_certificate(chain).public_bytes(Encoding.DER)
    assert reading.read_certificate(chain) == reading.read_certificate(der)


def test_chain_with_a_private_key_is_refused(ca: FakeCa, key: bytes) -> None:
    with pytest.raises(FinalizeError, match="contains a 'PRIVATE KEY' block"):
        check(ca.chain(key, A) + key, key, [A], NOW)


@pytest.mark.parametrize("chain", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_invalid_chain_is_refused(chain: bytes, key: bytes) -> None:
    with pytest.raises(FinalizeError, match="cannot be parsed"):
        check(chain, key, [A], NOW)


def test_certificate_for_another_key_is_refused(ca: FakeCa, key: bytes) -> None:
    other = pki.make_certificate_key(KeyType.ECDSA_P256)
    with pytest.raises(FinalizeError, match="its key is not the key in our CSR"):
        check(ca.chain(other, A), key, [A], NOW)


@pytest.mark.parametrize(
    ("issued", "asked", "words"),
    [
        ((A,), (A, B), r"it lacks b\.example"),
        ((A, B), (A,), r"has b\.example, which we did not order"),
        ((B,), (A,), r"lacks a\.example and has b\.example"),
        ((A,), (A, V4), r"lacks 192\.0\.2\.7"),
    ],
    ids=["too few", "too many", "another", "address missing"],
)
def test_missing_and_extra_identifiers_are_named(
    ca: FakeCa, key: bytes, issued: tuple[Identifier, ...], asked: tuple[Identifier, ...], words: str
) -> None:
    with pytest.raises(FinalizeError, match=words):
        check(ca.chain(key, *issued), key, asked, NOW)


@pytest.mark.parametrize(
    ("starts_in", "words"),
    [
        (timedelta(hours=2), "clock by NTP"),
        (timedelta(days=-91), "has expired"),
        (timedelta(days=-90, seconds=60), "is about to expire"),
    ],
    ids=["not yet valid", "expired", "a minute left"],
)
def test_certificate_outside_its_validity_is_refused(ca: FakeCa, key: bytes, starts_in: timedelta, words: str) -> None:
    with pytest.raises(FinalizeError, match=words):
        check(ca.leaf(key, A, starts_in=starts_in), key, [A], NOW)


def test_certificate_that_is_valid_for_more_than_a_minute_is_accepted(ca: FakeCa, key: bytes) -> None:
    check(ca.leaf(key, A, starts_in=timedelta(days=-90, seconds=61)), key, [A], NOW)


def test_certificate_with_a_lifetime_below_a_minute_is_refused(ca: FakeCa, key: bytes) -> None:
    with pytest.raises(ChainError, match="it is valid for less than 60 s") as caught:
        check(ca.leaf(key, A, starts_in=timedelta(), days=59 / 86_400), key, [A], NOW)
    assert not isinstance(caught.value, DatesError)


def test_chain_that_tls_clients_would_refuse_is_refused(ca: FakeCa, key: bytes) -> None:
    """TLS clients refuse such a handshake."""
    more = ca.intermediate.public_bytes(Encoding.PEM)
    with pytest.raises(ChainError, match="its chain has 11 certificates, more than 10"):
        check(ca.chain(key, A) + more * 9, key, [A], NOW)
    with pytest.raises(ChainError, match="its chain is longer than 64 KiB"):
        check(b"x" * 65_536 + b"\n" + ca.chain(key, A), key, [A], NOW)


def test_slow_clock_is_tolerated_up_to_an_hour(ca: FakeCa, key: bytes) -> None:
    check(ca.leaf(key, A, starts_in=timedelta(minutes=59)), key, [A], NOW)


def test_leaf_that_is_a_ca_is_refused(ca: FakeCa, key: bytes) -> None:
    with pytest.raises(FinalizeError, match="is a CA certificate itself"):
        check(ca.leaf(key, A, is_ca=True), key, [A], NOW)


def test_chain_with_a_foreign_intermediate_is_refused(ca: FakeCa, key: bytes) -> None:
    foreign = FakeCa().intermediate.public_bytes(Encoding.PEM)
    with pytest.raises(FinalizeError, match="is not signed by the next certificate, 'Fake Intermediate'"):
        check(ca.leaf(key, A) + foreign, key, [A], NOW)


def test_chain_with_a_leaf_as_issuer_is_refused(ca: FakeCa, key: bytes) -> None:
    with pytest.raises(FinalizeError, match="is not a CA certificate"):
        check(ca.leaf(key, A) + ca.leaf(key, A), key, [A], NOW)


def test_placeholder_is_recognised_and_matches_its_key() -> None:
    pair = make_self_signed([A, V4], 7, NOW)
    certificate = reading.read_certificate(pair.chain_pem)
    assert reading.is_placeholder(certificate)
    assert certificate.identifiers == {A, V4}
    assert certificate.not_after == NOW + timedelta(days=7)
    assert reading.certificate_key_matches(pair.chain_pem, pair.certificate_key_pem)


@pytest.mark.parametrize(
    ("key_type", "algorithm"), [(KeyType.ECDSA_P384, KeyAlgorithm.ECDSA), (KeyType.RSA_2048, KeyAlgorithm.RSA)]
)
def test_certificate_shows_the_algorithm_of_its_key(ca: FakeCa, key_type: KeyType, algorithm: KeyAlgorithm) -> None:
    assert reading.read_certificate(ca.pair(A, key_type=key_type).chain_pem).key_algorithm is algorithm


def test_certificate_with_an_unsupported_key_has_no_algorithm() -> None:
    key, name = ed25519.Ed25519PrivateKey.generate(), x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    assert reading.read_certificate(builder.sign(key, None).public_bytes(Encoding.DER)).key_algorithm is None


def test_key_of_another_certificate_does_not_match(ca: FakeCa, key: bytes) -> None:
    assert not reading.certificate_key_matches(ca.pair(A).chain_pem, key)


def test_pem_gets_the_form_that_nginx_reads() -> None:
    for written in (b"\r\nA\r\nB\r\n\r\n", b"A\rB\r", b"  A\n\tB ", b"A\nB"):
        assert reading.normalise_pem(written) == b"A\nB\n"


def test_certificate_id_of_the_example_in_rfc_9773() -> None:
    """Check appendix A: the serial's first bit is set, so its DER form begins with a zero byte."""
    assert reading.read_certificate(_RFC_9773_EXAMPLE).certificate_id == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_certificate_without_an_authority_key_identifier_has_no_certificate_id(ca: FakeCa, key: bytes) -> None:
    assert reading.read_certificate(ca.chain(key, A)).certificate_id is None


_RFC_9773_EXAMPLE = b"""-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""
