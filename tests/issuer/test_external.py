"""Pairs of other ACME clients: what is accepted, and the attempt that installs them."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.keys import certificate_key
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.external import check_pair, make_attempt
from wellkeeper_issuer.model import Lineage
from wellkeeper_node.certificates import placeholders
from wellkeeper_node.model import KeyType, Pair

WILDCARD = dns("*.a.example")
NAMES = (WILDCARD, dns("a.example"))


@pytest.mark.parametrize("key_type", list(KeyType))
def test_pair_of_any_key_type_is_accepted(key_type: KeyType) -> None:
    certificate = check_pair(FakeCa().pair(*NAMES, key_type=key_type), NOW)
    assert certificate.identifiers == set(NAMES)
    assert certificate.key_type is key_type


def test_leaf_alone_of_a_private_root_and_whole_chains_are_accepted() -> None:
    ca, key = FakeCa(), certificate_key(KeyType.ECDSA_P256)
    leaf = ca.leaf(key, *NAMES, issuer_url="http://ca.example/1.der")
    for chain in (ca.leaf(key, *NAMES), leaf + ca.intermediate.public_bytes(Encoding.PEM)):
        assert check_pair(Pair(key, chain), NOW).identifiers == set(NAMES)


def test_attempt_only_has_to_be_installed() -> None:
    pair = FakeCa().pair(*NAMES)
    attempt, external = make_attempt("web", pair), Lineage("web", NAMES, is_external=True)
    assert attempt.under_way.is_issued_for(external)
    assert not attempt.under_way.is_issued_for(Lineage("web", NAMES, directory_urls=("https://ca.example",)))
    assert pki.check_chain(pair.chain_pem, attempt.csr_der, attempt.identifiers, NOW) == check_pair(pair, NOW)


def encrypted(key_pem: bytes) -> bytes:
    key = load_pem_private_key(key_pem, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def ed25519() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def broken(ca: FakeCa, what: str) -> Pair:
    """Return a pair with this defect."""
    pair = ca.pair(*NAMES)
    key, chain, leaf = pair.certificate_key_pem, pair.chain_pem, ca.leaf(pair.certificate_key_pem, *NAMES)
    other_leaf = FakeCa().leaf(certificate_key(KeyType.RSA_2048), *NAMES)
    return {
        "swapped": Pair(chain, key),
        "empty": Pair(key, b""),
        "cut short": Pair(key, chain[:-40]),
        "wrong order": Pair(key, chain.removeprefix(chain[: chain.index(b"-----END")]) + leaf),
        "foreign intermediate": Pair(key, leaf + FakeCa().chain(key, *NAMES).split(b"-----END CERTIFICATE-----\n")[1]),
        "key of another": Pair(certificate_key(KeyType.RSA_2048), chain),
        "encrypted key": Pair(encrypted(key), chain),
        "key that CAs refuse": Pair(ed25519(), chain),
        "no key": Pair(b"", chain),
        "self-signed": placeholders.make_self_signed(NAMES, 9, NOW),
        "without names": Pair(key, ca.chain(key)),
        "expired": Pair(key, ca.leaf(key, *NAMES, starts_in=timedelta(days=-91))),
        "not valid yet": Pair(key, ca.leaf(key, *NAMES, starts_in=timedelta(days=1))),
        "other leaf": Pair(key, other_leaf),
        "leaf alone": Pair(key, ca.leaf(key, *NAMES, issuer_url="http://ca.example/1.der")),
    }[what]


@pytest.mark.parametrize(
    ("what", "why", "remedy"),
    [
        ("swapped", "'PRIVATE KEY' block", "fullchain"),
        ("empty", "cannot be parsed as PEM", "fullchain"),
        ("cut short", "the chain is", "fullchain"),
        ("foreign intermediate", "the chain is", "fullchain"),
        ("key of another", "the key belongs to another certificate", "this certificate"),
        ("other leaf", "the key belongs to another certificate", "this certificate"),
        ("leaf alone", "it has no intermediate certificate", "fullchain"),
        ("encrypted key", "the key cannot be used", "without a passphrase"),
        ("key that CAs refuse", "ECDSA or RSA", "without a passphrase"),
        ("no key", "the key cannot be used", "without a passphrase"),
        ("self-signed", "it is self-signed", "fullchain"),
        ("without names", "no DNS name and no IP address", "fullchain"),
        ("expired", "the certificate has expired: it is valid until", "clock"),
        ("not valid yet", "the clock here says", "NTP"),
    ],
)
def test_unusable_pair_is_refused(what: str, why: str, remedy: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_pair(broken(FakeCa(), what), NOW)
    assert raised.value.what == "cannot deliver the certificate"
    assert "https://cryptography.io" not in raised.value.why
    assert why in raised.value.why
    assert remedy in raised.value.remedy
