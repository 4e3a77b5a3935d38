"""RSA keys shared by tests: generating one takes up to a second."""

from functools import cache
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wellkeeper_issuer import pki
from wellkeeper_node.model import KeyType

_FOLDER: Final = Path(__file__).with_name("rsa_keys")


@cache
def rsa_key(name: str = "2048") -> rsa.RSAPrivateKey:
    """Return the key with this many bits; `2048-exponent-3` has an unusual exponent."""
    # Known to be good: checking a key takes as long as signing a hundred times with it.
    key = load_pem_private_key(rsa_pem(name), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def rsa_pem(name: str) -> bytes:
    return (_FOLDER / f"{name}.pem").read_bytes()


def certificate_key(key_type: KeyType) -> bytes:
    """Return a PEM key: newly generated, except that RSA keys are fixed per size."""
    kind, _, bits = key_type.value.partition("-")
    return rsa_pem(bits) if kind == "rsa" else pki.make_certificate_key(key_type)
