"""Opening a bundle: the right one is opened, and every other one is refused with a reason."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.fleet import CA, PAIR, WEB1, WEB2, A, B, manifest_of, public, sealed, version
from wellkeeper_issuer.fleet.sealing import Sealed, seal, wrap
from wellkeeper_node.bundles import content, suites
from wellkeeper_node.bundles.manifest import Entry, Manifest
from wellkeeper_node.bundles.model import LONGEST_BUNDLE, Bundle, SealedBundle, Wrap
from wellkeeper_node.bundles.opening import open_bundle
from wellkeeper_node.errors import FleetError
from wellkeeper_node.model import Pair

ONE = sealed()
MANIFEST = manifest_of(ONE)
WRAP = wrap(ONE, "web1", public(WEB1))
NEWER = sealed(number=2)
MAIL = sealed("mail")
ENCRYPTED = load_pem_private_key(PAIR.certificate_key_pem, None).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
)


def refusal(
    manifest: Manifest = MANIFEST,
    bundle: SealedBundle = ONE.bundle,
    wrapped: Wrap = WRAP,
    key: X25519PrivateKey = WEB1,
    now: datetime = NOW,
) -> FleetError:
    with pytest.raises(FleetError) as caught:
        open_bundle(manifest, bundle, wrapped, key, now)
    assert caught.value.what.startswith("cannot use the bundle of ")
    return caught.value


def sealed_as_it_is(plaintext: bytes, leaf: str = ONE.entry.leaf_sha256) -> tuple[Manifest, SealedBundle, Wrap]:
    """Seal any bytes as version 1 of `web`, as an issuer could that went wrong."""
    key, nonce = AESGCM.generate_key(256), bytes(12)
    ciphertext = nonce + AESGCM(key).encrypt(nonce, plaintext, suites.bundle_data("web", version()))
    bundle = SealedBundle("web", version(), ciphertext)
    one = Sealed(bundle, Entry(version(), bundle.sha256, leaf), key)
    return manifest_of(one), bundle, wrap(one, "web1", public(WEB1))


def plaintext_of(pair: Pair = PAIR, **changes: object) -> bytes:
    """Return the plaintext of a bundle with other members; None removes one."""
    found: dict[str, Any] = {**json_of(Bundle("web", version(), frozenset([A]), pair)), **changes}
    return content.dump({name: value for name, value in found.items() if value is not None})


def json_of(bundle: Bundle) -> dict[str, Any]:
    found = content.parse(bundle.to_bytes())
    assert isinstance(found, dict)
    return found


def test_bundle_opens_for_its_node_with_the_pair_that_was_sealed() -> None:
    bundle = open_bundle(MANIFEST, ONE.bundle, WRAP, WEB1, NOW)
    assert bundle == Bundle("web", version(), frozenset([A]), PAIR)


def test_bundle_without_a_key_opens_for_nodes_that_have_it_already() -> None:
    keyless = sealed(pair=replace(PAIR, certificate_key_pem=b""))
    bundle = open_bundle(manifest_of(keyless), keyless.bundle, wrap(keyless, "web1", public(WEB1)), WEB1, NOW)
    assert bundle.pair == Pair(b"", PAIR.chain_pem)


def test_lineage_that_the_manifest_does_not_list_is_refused() -> None:
    assert refusal(manifest_of(MAIL)).why == "the manifest does not list it"


def test_older_version_is_refused_although_it_was_listed_once() -> None:
    assert (
        refusal(manifest_of(NEWER)).why
        == "it is version 1 (20260301T110000Z-0123abcd), the manifest lists 2 (20260301T110000Z-0123abcd)"
    )


def test_version_with_the_right_number_and_another_archive_name_is_refused() -> None:
    other = replace(ONE.bundle, version=version(1, "ffffffff"))
    assert (
        refusal(bundle=other).why
        == "it is version 1 (20260301T110000Z-ffffffff), the manifest lists 1 (20260301T110000Z-0123abcd)"
    )


def test_bundle_of_another_lineage_under_this_name_is_refused() -> None:
    swapped = replace(MAIL.bundle, lineage="web")
    assert refusal(bundle=swapped).why == "its ciphertext is not the one that the manifest lists"


@pytest.mark.parametrize(
    ("wrapped", "words"),
    [
        (wrap(MAIL, "web1", public(WEB1)), "its wrap is for version 1 (20260301T110000Z-0123abcd) of mail"),
        (wrap(NEWER, "web1", public(WEB1)), "its wrap is for version 2 (20260301T110000Z-0123abcd) of web"),
        (replace(WRAP, lineage="mail"), "its wrap is for version 1 (20260301T110000Z-0123abcd) of mail"),
        (replace(wrap(MAIL, "web1", public(WEB1)), lineage="web"), "does not open with the key of this node"),
        (replace(wrap(NEWER, "web1", public(WEB1)), version=version()), "does not open with the key of this node"),
        (wrap(sealed(), "web1", public(WEB1)), "does not open with the key of this node"),
        (wrap(ONE, "web1", public(WEB2)), "does not open with the key of this node"),
        (replace(WRAP, suite="MLKEM768-X25519"), "its wrap uses 'MLKEM768-X25519', which this version of Wellkeeper"),
        (replace(WRAP, suite="\x1b[2J" * 1000), "which this version of Wellkeeper does not know"),
        (replace(WRAP, wrapped_key=b""), "does not open with the key of this node"),
        (replace(WRAP, wrapped_key=WRAP.wrapped_key[:-1]), "does not open with the key of this node"),
        (replace(WRAP, wrapped_key=WRAP.wrapped_key + b"\0"), "does not open with the key of this node"),
        (replace(WRAP, wrapped_key=bytes(32) + WRAP.wrapped_key[32:]), "does not open with the key of this node"),
    ],
    ids=[
        "another lineage",
        "newer version",
        "relabelled lineage",
        "another lineage under this name",
        "newer version under this number",
        "another ciphertext of this version",
        "another node",
        "another suite",
        "hostile suite",
        "empty",
        "truncated",
        "longer",
        "point of low order",
    ],
)
def test_wrap_for_anything_else_is_refused(wrapped: Wrap, words: str) -> None:
    why = refusal(wrapped=wrapped).why
    assert words in why
    assert why.isprintable()
    assert len(why) < 200


def test_wrap_with_a_key_of_another_length_is_refused() -> None:
    info = suites.wrap_info(public(WEB1), "web", version(), ONE.entry.ciphertext_sha256)
    to_web1 = X25519PublicKey.from_public_bytes(public(WEB1))
    short = suites.SUITES[suites.X25519].encrypt(bytes(16), to_web1, info)
    assert refusal(wrapped=replace(WRAP, wrapped_key=short)).why == "its wrap contains 16 bytes, expected 32"


def test_wrap_with_the_key_of_another_bundle_is_refused() -> None:
    """A compromised node can make such a wrap for another node: only the issuer knows the right key."""
    forged = replace(ONE, key=bytes(32))
    found = refusal(wrapped=wrap(forged, "web1", public(WEB1)))
    assert found.why == "its ciphertext does not open with the key in its wrap"


def test_ciphertext_shorter_than_a_nonce_is_refused() -> None:
    short = SealedBundle("web", version(), b"\0")
    one = Sealed(short, Entry(version(), short.sha256, ONE.entry.leaf_sha256), bytes(32))
    found = refusal(manifest_of(one), short, wrap(one, "web1", public(WEB1)))
    assert found.why == "its ciphertext does not open with the key in its wrap"


@settings(max_examples=200, deadline=None, database=None)
@given(position=st.integers(0, len(ONE.bundle.ciphertext) - 1), bit=st.integers(0, 7))
def test_bundle_with_any_flipped_bit_is_refused(position: int, bit: int) -> None:
    changed = bytearray(ONE.bundle.ciphertext)
    changed[position] ^= 1 << bit
    assert "not the one that the manifest lists" in refusal(bundle=replace(ONE.bundle, ciphertext=bytes(changed))).why


@settings(max_examples=200, deadline=None, database=None)
@given(position=st.integers(0, len(WRAP.wrapped_key) - 1), bit=st.integers(0, 7))
def test_wrap_with_any_flipped_bit_is_refused(position: int, bit: int) -> None:
    changed = bytearray(WRAP.wrapped_key)
    changed[position] ^= 1 << bit
    # X25519 ignores the highest bit of a point; the suite does not.
    assert "does not open" in refusal(wrapped=replace(WRAP, wrapped_key=bytes(changed))).why


@pytest.mark.parametrize(
    ("plaintext", "words"),
    [
        (b"", "Expecting value"),
        (b"\xff", "can't decode byte 0xff"),
        (b"[]", "expected an object with the members archive_name, certificate_key, chain"),
        (plaintext_of(reload="systemctl reload nginx"), "expected an object with the members"),
        (plaintext_of(chain=None), "expected an object with the members"),
        (plaintext_of(chain=["x"]), "'chain' must be a string"),
        (plaintext_of(number=True), "'number' must be a whole number"),
        (plaintext_of(number=0), "0 is not a number from 1 to"),
        (plaintext_of(archive_name="../../../etc"), "'../../../etc' is not the name of a version"),
        (plaintext_of(lineage="../live"), "'../live' is not a certificate name"),
        (plaintext_of(lineage="mail"), "it contains version 1 (20260301T110000Z-0123abcd) of mail"),
        (plaintext_of(number=2), "it contains version 2 (20260301T110000Z-0123abcd) of web"),
        (plaintext_of(identifiers=[1]), "'' is not a valid IdentifierType"),
        (plaintext_of(identifiers=["email:a@a.example"]), "'email' is not a valid IdentifierType"),
        (plaintext_of(identifiers=["dns:b.example"]), "it lacks b.example and has a.example"),
        (plaintext_of(identifiers=[]), "has a.example, which we did not order"),
        (plaintext_of(chain=""), "it cannot be parsed as PEM certificates"),
        (plaintext_of(chain=PAIR.chain_pem.decode()[:-40]), "the chain is cut short"),
        (plaintext_of(chain=PAIR.chain_pem.decode() + "-----BEGIN CERTIFICATE-----\n"), "the chain is cut short"),
        (plaintext_of(chain=PAIR.chain_pem.decode() + PAIR.certificate_key_pem.decode()), "contains a 'PRIVATE KEY'"),
        (plaintext_of(certificate_key="-----BEGIN"), "load PEM"),
        (
            plaintext_of(certificate_key=CA.pair(A).certificate_key_pem.decode()),
            "its key does not match its certificate",
        ),
        (plaintext_of(CA.pair(A)), "its certificate is not the one that the manifest lists"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_content_that_nginx_could_not_use_is_refused(plaintext: bytes, words: str) -> None:
    manifest, bundle, wrapped = sealed_as_it_is(plaintext)
    why = refusal(manifest, bundle, wrapped).why
    assert words in why
    assert "PRIVATE KEY-----" not in why


def test_content_that_is_deeply_nested_is_refused() -> None:
    why = refusal(*sealed_as_it_is(b"[" * 20_000)).why
    # Python 3.14 parses deeper, and then misses the end.
    assert "it is nested too deeply" in why or "Expecting value" in why


def test_chain_whose_signatures_do_not_match_is_refused() -> None:
    pair = Pair(PAIR.certificate_key_pem, PAIR.chain_pem + FakeCa().root.public_bytes(Encoding.PEM))
    manifest, bundle, wrapped = sealed_as_it_is(plaintext_of(pair))
    assert "'Fake Intermediate' is not signed by the next certificate" in refusal(manifest, bundle, wrapped).why


@pytest.mark.parametrize(
    ("later", "words", "remedy"),
    [
        (
            timedelta(days=90),
            "has expired: it is valid until 2026-05-30 11:00 UTC",
            "Check this machine's clock first.",
        ),
        (timedelta(hours=-3), "is not valid yet", "Synchronize this machine's clock by NTP."),
    ],
    ids=["too late", "too early"],
)
def test_certificate_outside_its_validity_is_refused_with_the_remedy(later: timedelta, words: str, remedy: str) -> None:
    found = refusal(now=NOW + later)
    assert words in found.why
    assert found.remedy == remedy


def test_issuer_refuses_to_seal_what_nodes_would_refuse() -> None:
    for pair, identifiers, words in (
        (PAIR, [A, B], "it lacks b.example"),
        (replace(PAIR, certificate_key_pem=CA.pair(A).certificate_key_pem), [A], "its key does not match"),
        (replace(PAIR, chain_pem=b"x"), [A], "Unable to load PEM"),
        (replace(PAIR, certificate_key_pem=b"x"), [A], "load PEM"),
        (replace(PAIR, certificate_key_pem=ENCRYPTED), [A], "its key cannot be used: Password was not given"),
    ):
        with pytest.raises(FleetError, match="cannot seal the certificate of web") as caught:
            seal("web", version(), pair, identifiers, NOW)
        assert words in caught.value.why


def test_bundle_that_no_record_can_hold_is_refused_when_it_is_sealed() -> None:
    names = [*(dns(f"{number:0>60}.{'x' * 50}.example") for number in range(360)), A]
    with pytest.raises(FleetError, match=rf"bytes with its chain and key, at most {LONGEST_BUNDLE} fit"):
        seal("web", version(), CA.pair(*names), names, NOW)


def test_text_between_the_certificates_is_not_sealed() -> None:
    pair = Pair(
        PAIR.certificate_key_pem.replace(b"\n", b"\r\n"), b"subject=\xff\n" + PAIR.chain_pem.replace(b"\n", b"\r\n")
    )
    one = seal("web", version(), pair, [A], NOW)
    assert open_bundle(manifest_of(one), one.bundle, wrap(one, "web1", public(WEB1)), WEB1, NOW).pair == PAIR


def test_each_sealing_has_its_own_key_and_no_key_is_shown() -> None:
    again = sealed()
    assert again.key != ONE.key
    assert again.bundle.ciphertext != ONE.bundle.ciphertext
    assert repr(ONE.key) not in repr(ONE)
