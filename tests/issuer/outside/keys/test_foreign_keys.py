"""Account keys of other ACME clients: every form, and every file that is something else."""

import json
import os
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509 import load_pem_x509_certificate

from tests.fakes_deliver import FakeCa, dns
from tests.keys import rsa_key, rsa_pem
from tests.unprivileged import as_unprivileged_user
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys.foreign_keys import parse, read_thumbprint
from wellkeeper_node import public_keys
from wellkeeper_node.model import Pair

RSA = rsa_key()
CURVES: Final = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
KEYS = {name: ec.generate_private_key(curve) for name, curve in CURVES.items()}
EC = KEYS["P-256"]
# RFC 7638 section 3.1.
EXAMPLE = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQv"
        "RL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqD"
        "Kgw"
    ),
    "e": "AQAB",
    "alg": "RS256",
}
# openssl ecparam -name prime256v1
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
NONE = NoEncryption()


def number(value: int, size: int | None = None) -> str:
    raw = value.to_bytes(size or (value.bit_length() + 7) // 8)
    return urlsafe_b64encode(raw).decode().rstrip("=")


def ec_jwk(name: str, *, is_private: bool) -> bytes:
    key, size = KEYS[name], (KEYS[name].key_size + 7) // 8
    point = key.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": name, "x": number(point.x, size), "y": number(point.y, size)}
    return json.dumps(jwk | ({"d": number(key.private_numbers().private_value, size)} if is_private else {})).encode()


def rsa_jwk() -> bytes:
    """Return the key as certbot writes it to private_key.json."""
    numbers, public = RSA.private_numbers(), RSA.public_key().public_numbers()
    members = {"n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q}
    members |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    return json.dumps({name: number(value) for name, value in members.items()} | {"kty": "RSA"}).encode()


def private(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, form: PrivateFormat, encoding: Encoding) -> bytes:
    return key.private_bytes(encoding, form, NONE)


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, encoding: Encoding) -> bytes:
    return key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def expected(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str | None:
    return public_keys.thumbprint(key.public_key())


FORMS: Final[dict[str, tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, bytes]]] = {
    "JWK of RSA, as certbot": (RSA, rsa_jwk()),
    "PKCS#1": (RSA, private(RSA, PrivateFormat.TraditionalOpenSSL, Encoding.PEM)),
    "PKCS#8 of RSA, as dehydrated": (RSA, private(RSA, PrivateFormat.PKCS8, Encoding.PEM)),
    "PKCS#8 in DER": (RSA, private(RSA, PrivateFormat.PKCS8, Encoding.DER)),
    "PKCS#1 in DER": (RSA, private(RSA, PrivateFormat.TraditionalOpenSSL, Encoding.DER)),
    "public PEM": (RSA, public(RSA, Encoding.PEM)),
    "public PKCS#1": (RSA, RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)),
    "public DER": (EC, public(EC, Encoding.DER)),
    "SEC1, as lego": (EC, private(EC, PrivateFormat.TraditionalOpenSSL, Encoding.PEM)),
    "SEC1 with parameters, as acme.sh": (EC, PARAMETERS + private(EC, PrivateFormat.TraditionalOpenSSL, Encoding.PEM)),
    "SEC1 in DER": (EC, private(EC, PrivateFormat.TraditionalOpenSSL, Encoding.DER)),
    "PKCS#8 of EC": (EC, b"\n" + private(EC, PrivateFormat.PKCS8, Encoding.PEM)),
    **{
        f"{name} SEC1": (key, private(key, PrivateFormat.TraditionalOpenSSL, Encoding.PEM))
        for name, key in KEYS.items()
    },
    **{f"JWK of {name}": (key, ec_jwk(name, is_private=True)) for name, key in KEYS.items()},
    **{f"public JWK of {name}": (key, ec_jwk(name, is_private=False)) for name, key in KEYS.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_thumbprint(form: str, folder: Path) -> None:
    key, content = FORMS[form]
    path = folder / "account.key"
    path.write_bytes(content)
    assert read_thumbprint(path)[1] == expected(key)


@pytest.mark.parametrize(
    ("scalar", "thumbprint"),
    [
        pytest.param(379, "7Yxe6c_3bAa6kiaK1G-BZmi9EeNsUmlcbdnrtLeuK4E", id="x"),
        pytest.param(43, "WZsjbh58q8kl1WsGShqtiycImZtCgGbukDn4RAacMig", id="y"),
    ],
)
def test_thumbprint_keeps_the_zero_byte_at_the_beginning_of_a_coordinate(scalar: int, thumbprint: str) -> None:
    key = ec.derive_private_key(scalar, ec.SECP256R1())  # such a key is one of 128; the thumbprint is josepy's
    assert public_keys.thumbprint(key.public_key()) == thumbprint


def test_thumbprint_and_kind_of_the_example_of_the_rfc(folder: Path) -> None:
    path = folder / "private_key.json"
    path.write_text(json.dumps(EXAMPLE))
    assert read_thumbprint(path) == ("RSA 2048", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")


def test_private_key_is_parsed_whole() -> None:
    for form in (rsa_jwk(), ec_jwk("P-384", is_private=True)):
        assert isinstance(parse(form), rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)


ENCRYPTED = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
ENCRYPTED_SEC1 = EC.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret"))
ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NONE)
SSH = EC.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NONE)
OTHER_CURVE = ec.generate_private_key(ec.SECP256K1())
_CERTIFICATE_KEY = private(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8, Encoding.PEM)
PAIR = Pair(_CERTIFICATE_KEY, FakeCa().chain(_CERTIFICATE_KEY, dns("a.example")))
PAIR_DER = load_pem_x509_certificate(PAIR.chain_pem).public_bytes(Encoding.DER)
REFUSED = {
    "empty": (b" \n", "it is empty"),
    "encrypted": (ENCRYPTED, "it is encrypted; write its public key"),
    "encrypted SEC1": (ENCRYPTED_SEC1, "it is encrypted; write its public key"),
    "truncated": (rsa_pem("2048")[:700], "the private key is damaged or was cut short: "),
    "truncated DER": (FORMS["PKCS#8 in DER"][1][:300], "it is neither a JSON Web Key nor a key in PEM or DER"),
    "truncated JWK": (rsa_jwk()[:200], "it is not valid JSON: "),
    "damaged JWK": (json.dumps({"kty": "RSA", "n": "AQAB"}).encode(), "the JSON Web Key is damaged: 'e'"),
    "JWK of another type": (b'{"kty": "oct", "k": "AA"}', "it is a JSON Web Key with kty 'oct'"),
    "JWK of another curve": (b'{"kty": "EC", "crv": "X", "x": "AA", "y": "AA"}', "its curve is 'X'; ACME has P-256,"),
    "point that is not on the curve": (b'{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}', ""),
    "text in a JWK": (b'{"kty": "RSA", "n": "!", "e": "AQAB"}', ""),
    "other JSON": (b'{"email": "a@b.example"}', "it is JSON, but not a JSON Web Key: it has no 'kty'"),
    "JSON list": (b"[]", "it is JSON, but not a JSON Web Key"),
    "deep JSON": (b'{"a":' * 10_000, "it is not valid JSON: "),
    "certificate": (PAIR.chain_pem, "it is a certificate"),
    "key and certificate, as HAProxy has them": (
        PAIR.certificate_key_pem + PAIR.chain_pem,
        "it has several blocks: private key, certificate, certificate",
    ),
    "several keys": (ED25519 + rsa_pem("2048"), "it has several blocks: private key, "),
    "SSH key": (SSH, "it is an SSH key"),
    "parameters alone": (PARAMETERS, "it has the parameters of a key, but no key"),
    "other PEM": (b"-----BEGIN DH PARAMETERS-----\n", "it is PEM with 'DH PARAMETERS', not with a key"),
    "damaged public key": (
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "the public key is damaged",
    ),
    "Ed25519": (ED25519, "it is a key of type Ed25519PrivateKey; account keys are RSA or EC"),
    "another curve": (private(OTHER_CURVE, PrivateFormat.PKCS8, Encoding.PEM), "its kind is EC secp256k1; ACME has"),
    "text": (b"hello\n", "it is neither a JSON Web Key nor a key in PEM or DER"),
    "huge": (b"-" * 70_000, "it is longer than 65536 bytes"),
}


def refusal(path: Path) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        read_thumbprint(path)
    return caught.value


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused_with_the_reason(name: str, folder: Path) -> None:
    content, words = REFUSED[name]
    path = folder / "key.pem"
    path.write_bytes(content)
    error = refusal(path)
    assert error.what == f"{path} is not an account key"
    assert error.why.startswith(words)
    assert "'wellkeeper trust --clients'" in error.remedy


def test_certificate_in_der_is_refused(folder: Path) -> None:
    path = folder / "cert.der"
    path.write_bytes(PAIR_DER)
    assert refusal(path).why == "it is a certificate"


def test_algorithm_that_is_not_supported_is_refused() -> None:
    # SubjectPublicKeyInfo with an unknown curve.
    der = public(EC, Encoding.DER).replace(bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d030177"))
    with pytest.raises(ValueError, match=r"not supported|neither"):
        parse(der)


def test_key_of_a_certificate_beside_it_is_refused(folder: Path) -> None:
    (folder / "a.cer").write_text("no certificate")
    (folder / "fullchain.pem").write_bytes(PAIR.chain_pem)
    path = folder / "privkey.pem"
    path.write_bytes(PAIR.certificate_key_pem)
    assert refusal(path).why == "it is the key of the certificate fullchain.pem beside it"
    path.write_bytes(rsa_pem("2048"))
    assert read_thumbprint(path)[0] == "RSA 2048"


def test_files_of_another_kind_are_refused(folder: Path) -> None:
    link, pipe = folder / "link", folder / "pipe"
    link.symlink_to("/etc/passwd")
    os.mkfifo(pipe)
    assert refusal(link).why == "it is a symbolic link to /etc/passwd"
    assert refusal(pipe).why == "pipe is not a regular file"
    assert refusal(folder).why.endswith("is not a regular file")


def test_missing_and_unreadable_files_are_named(folder: Path) -> None:
    missing = refusal(folder / "none.pem")
    assert (missing.what, missing.why) == (f"cannot read account key {folder}/none.pem", "No such file or directory")
    path = folder / "key.pem"
    path.write_bytes(rsa_pem("2048"))
    path.chmod(0)
    folder.chmod(0o755)
    with as_unprivileged_user():
        error = refusal(path)
    assert (error.why, error.remedy) == ("Permission denied", "Run the command with sudo.")
