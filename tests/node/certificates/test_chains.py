"""Chains whose members lack extensions, or have ones that cannot be read; tests/issuer/test_pki.py has the rest."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from tests.fakes_deliver import NOW, FakeCa, dns
from wellkeeper_issuer import pki
from wellkeeper_node.certificates.chains import ChainFault, DatesFault, check_chain, parse_chain
from wellkeeper_node.model import KeyType

A = dns("a.example")
LEAF = x509.load_pem_x509_certificate(FakeCa().leaf(pki.make_certificate_key(KeyType.ECDSA_P256), A))


def intermediate(*extensions: x509.ExtensionType) -> x509.Certificate:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Odd")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ((), "certificate 2 of the CA's chain (Odd) is not a CA certificate"),
        ((x509.BasicConstraints(ca=False, path_length=None),), "(Odd) is not a CA certificate"),
        (
            (x509.UnrecognizedExtension(ExtensionOID.BASIC_CONSTRAINTS, b"\xff"),),
            "certificate 2 of the CA's chain (Odd) has malformed extensions: ",
        ),
    ],
    ids=["none", "not a CA", "malformed"],
)
def test_intermediate_that_is_not_a_ca_is_refused(extensions: tuple[x509.ExtensionType, ...], words: str) -> None:
    with pytest.raises(ChainFault) as caught:
        check_chain([LEAF, intermediate(*extensions)], [A], NOW)
    assert words in str(caught.value)


def test_fault_of_dates_has_what_why_and_remedy() -> None:
    with pytest.raises(DatesFault) as caught:
        check_chain([LEAF], [A], NOW + timedelta(days=90))
    fault = caught.value
    assert str(fault) == f"{fault.what}: {fault.why}"
    assert (fault.what, fault.remedy) == ("the CA's certificate has expired", "Check this machine's clock first.")


def test_text_that_is_not_a_chain_is_refused() -> None:
    with pytest.raises(ChainFault, match="it cannot be parsed as PEM certificates"):
        parse_chain(b"")
