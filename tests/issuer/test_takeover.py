"""Import plan for certbot's certificates: names, settings, and the reasons for leaving one out."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fakes_deliver import NOW, FakeCa, dns
from wellkeeper_issuer.known_cas import LETS_ENCRYPT, LETS_ENCRYPT_STAGING
from wellkeeper_issuer.takeover import Access, Found, FoundAccount, FoundLineage, Taken, take_over
from wellkeeper_node.model import Identifier, KeyType, Pair

A, B = dns("a.example"), dns("b.example")
CA = FakeCa()
SERVER = "https://ca.example/directory"
ACCOUNT = FoundAccount("7", SERVER, f"{SERVER}/account/7", b"key")
PARAMETERS = {"authenticator": "webroot", "server": SERVER, "account": "7"}
PAIR = CA.pair(A, B)


def lineage(name: str = "a.example", pair: Pair | None = PAIR, **parameters: str) -> FoundLineage:
    return FoundLineage(name, PARAMETERS | parameters, pair)


def take(*lineages: FoundLineage, existing: Mapping[str, frozenset[Identifier]] | None = None) -> list[Taken]:
    plan = take_over(Found(lineages, (ACCOUNT,)), existing or {}, NOW)
    assert plan.left_out == ()
    return list(plan.taken)


def reason(one: FoundLineage, existing: Mapping[str, frozenset[Identifier]] | None = None) -> str:
    plan = take_over(Found((one,), (ACCOUNT,)), existing or {}, NOW)
    assert plan.taken == ()
    return plan.left_out[0].reason


def test_names_key_type_ca_and_account_are_taken_over() -> None:
    (taken,) = take(lineage())
    assert taken.table == {"name": "a.example", "identifiers": ["a.example", "b.example"]}
    assert (taken.directory_url, taken.account_url) == (SERVER, ACCOUNT.account_url)
    assert (taken.pair, taken.notes) == (PAIR, ())


@pytest.mark.parametrize(
    ("server", "is_test"),
    [
        (SERVER, False),
        (LETS_ENCRYPT, False),
        (LETS_ENCRYPT_STAGING, True),
        ("https://acme-staging.api.letsencrypt.org/directory", True),
        ("https://dv.acme-v02.test-api.pki.goog/directory", True),
    ],
)
def test_certificate_of_a_staging_ca_is_labelled(server: str, *, is_test: bool) -> None:
    (taken,) = take(lineage(server=server))
    assert taken.is_test is is_test
    assert any("test certificate" in note for note in taken.notes) is is_test


@pytest.mark.parametrize(
    ("access", "note"),
    [
        (Access(0, 0, 0o600), ""),
        (Access(0, 12, 0o640), ""),
        (Access(0, 0, 0o644), "its key was readable by all users (mode 0644); here it is 0640"),
    ],
)
def test_key_that_everyone_may_read_is_narrowed_and_reported(access: Access, note: str) -> None:
    (taken,) = take(replace(lineage(), access=access))
    assert taken.access == access
    assert list(taken.notes) == ([note] if note else [])


@pytest.mark.parametrize("key_type", [KeyType.RSA_2048, KeyType.ECDSA_P384])
def test_other_key_types_are_kept(key_type: KeyType) -> None:
    (taken,) = take(lineage(pair=CA.pair(A, key_type=key_type)))
    assert taken.table["key_type"] == key_type.value


def test_name_that_is_too_long_is_shortened() -> None:
    taken = take(lineage("a" * 250), lineage("a" * 249 + "b"))
    assert [len(one.name) for one in taken] == [240, 240]
    assert len({one.name for one in taken}) == 2


def test_reuse_key_and_profile_are_kept() -> None:
    (taken,) = take(lineage(reuse_key="True", required_profile="shortlived"))
    assert (taken.table["reuse_key"], taken.table["profile"]) == (True, "shortlived")
    assert taken.notes == ()


def test_unsupported_key_type_is_kept_until_the_next_renewal() -> None:
    key_pem = ec.generate_private_key(ec.SECP521R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (taken,) = take(lineage(pair=Pair(key_pem, CA.chain(key_pem, A))))
    assert "key_type" not in taken.table
    assert taken.notes == ("its key type is not supported; the next key will be ecdsa-p256",)


@pytest.mark.parametrize(
    ("found", "name"),
    [("a.example-0001", "a.example-0001"), ("WWW.Example", "www.example"), ("my site", "my-site"), (".x..y", "x.y")],
)
def test_name_is_changed_only_as_far_as_necessary(found: str, name: str) -> None:
    (taken,) = take(lineage(found))
    assert (taken.name, taken.found_name) == (name, found)
    assert bool(taken.notes) == (found != name)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"authenticator": "nginx"}, "certbot changed nginx for each renewal"),
        ({"authenticator": "standalone"}, "certbot listened on port 80 itself"),
        ({"authenticator": "apache"}, "Apache served its names"),
        ({"authenticator": "manual"}, "certbot used the authenticator manual; now its names must reach this nginx"),
        ({"authenticator": "dns-cloudflare"}, "certbot used the authenticator dns-cloudflare; now"),
        ({"must_staple": "True"}, "the next certificate will not have must-staple"),
        ({"preferred_chain": "ISRG Root X1"}, "preferred_chain = 'ISRG Root X1' is not imported"),
        ({"preferred_profile": "classic"}, "its profile is now required"),
        ({"autorenew": "False"}, "certbot did not renew it"),
        ({"account": "8"}, "its account was not found"),
    ],
)
def test_changes_are_noted(parameters: dict[str, str], words: str) -> None:
    (taken,) = take(FoundLineage("a.example", PARAMETERS | parameters, PAIR))
    (note,) = taken.notes
    assert words in note


def test_wildcard_is_left_to_certbot() -> None:
    key_pem = PAIR.certificate_key_pem
    pair = Pair(key_pem, CA.chain(key_pem, A, dns("*.a.example")))
    assert "http-01 cannot validate *.a.example" in reason(lineage(pair=pair))


def test_expired_certificate_is_left_out() -> None:
    pair = FakeCa(NOW - timedelta(days=91)).pair(A)
    assert reason(lineage(pair=pair)).startswith("it expired on 2026-02-28; to obtain a new one")


def test_broken_certificate_or_one_with_an_invalid_ca_is_left_out() -> None:
    assert "is not https" in reason(lineage(server="http://ca.example/"))
    assert reason(FoundLineage("x", {}, None, "it is broken")) == "it is broken"


def test_certificate_without_names_is_left_out() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=9))
    chain = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert reason(lineage(pair=Pair(key_pem, chain))) == "it has neither DNS names nor IP addresses"


def test_default_ca_is_lets_encrypt_and_its_old_version_is_replaced() -> None:
    without = FoundLineage("a.example", {}, PAIR)
    closed = FoundLineage("b.example", {"server": "https://acme-v01.api.letsencrypt.org/directory"}, PAIR)
    assert [one.directory_url for one in take(without, closed)] == [LETS_ENCRYPT, LETS_ENCRYPT]


def test_existing_certificate_with_the_same_names_is_matched() -> None:
    assert [one.name for one in take(lineage(), existing={"a.example": frozenset({A, B})})] == ["a.example"]


def test_name_of_a_different_existing_certificate_is_left_out() -> None:
    expected = "another certificate named 'a.example' exists, for other names"
    assert reason(lineage(), {"a.example": frozenset({A})}) == expected
    plan = take_over(Found((lineage(), lineage("A.example", CA.pair(A))), (ACCOUNT,)), {}, NOW)
    assert [one.found_name for one in plan.left_out] == ["A.example"]


def test_account_of_most_certificates_is_taken_over_per_ca() -> None:
    second = replace(ACCOUNT, name="8", account_url=f"{SERVER}/account/8")
    other = FoundAccount("9", "https://other.example/dir", "https://other.example/9", b"key")
    lineages = (lineage("a", account="7"), lineage("b", account="8"), lineage("c", account="8"))
    plan = take_over(Found(lineages, (ACCOUNT, second, other)), {}, NOW)
    assert plan.accounts == (second,)
    assert plan.notes == (
        f"the account {ACCOUNT.account_url} was not imported: another account of this CA has more certificates",
        f"the account {other.account_url} was not imported: no imported certificate uses it",
    )
