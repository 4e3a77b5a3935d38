"""Private keys as files: written whole and durably, for their owner only, never over one another, read with a remedy.

Blocking, and quick.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import durable, public_keys
from wellkeeper_node.errors import Retry

OURS: Final = durable.Owner()
_MODE: Final = 0o600
_SHORTEST_RSA_BITS: Final = 2048

AccountKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def account_thumbprint(account_key: AccountKey) -> str:
    """RFC 7638, SHA-256, base64url: what responders are pinned to."""
    return public_keys.thumbprint(account_key.public_key()) or ""


def make_account_key(path: Path) -> None:
    """ES256, which every CA takes; raises FileExistsError."""
    _write_key(path, ec.generate_private_key(ec.SECP256R1()))


def make_publishing_key(path: Path) -> None:
    """Ed25519; raises FileExistsError."""
    _write_key(path, ed25519.Ed25519PrivateKey.generate())


def read_account_key(path: Path) -> AccountKey:
    """P-256 as we make them, or RSA as taken over from others; raises SettingsError for anything else."""
    key = _read_key(path)
    match key:
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return key
        case rsa.RSAPrivateKey() if key.key_size >= _SHORTEST_RSA_BITS:
            return key
    raise SettingsError(
        f"{path} is no P-256 key, and no RSA key taken over; put the key back that 'wellkeeper init' made"
    )


def parse_account_key(pem: bytes) -> AccountKey:
    """Raises SettingsError for what is no key for an account."""
    key = load_pem_private_key(pem, None)
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key
    raise SettingsError("an account key is RSA or ECDSA")


def write_account_key(path: Path, key: AccountKey) -> None:
    """One that was made elsewhere; raises FileExistsError."""
    _write_key(path, key)


def read_publishing_key(path: Path) -> ed25519.Ed25519PrivateKey:
    """Raises SettingsError when it is missing or something else."""
    key = _read_key(path)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise SettingsError(f"{path} is no Ed25519 key; put the key back that 'wellkeeper init' made")
    return key


def replace_whole(path: Path, content: bytes) -> None:
    """As `durable.replace_whole`, for the owner alone."""
    durable.replace_whole(path, content, _MODE)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """OSError becomes SettingsError; only what is not there needs a person, all else may pass (EMFILE, EIO)."""
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot use {error.filename or path}: {error.strerror}; run as the user who owns the state directory",
            retry=Retry.NEVER if isinstance(error, FileNotFoundError) else Retry.SOON,
        ) from error


def _write_key(path: Path, key: AccountKey | ed25519.Ed25519PrivateKey) -> None:
    durable.create_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _MODE)


def _read_key(path: Path) -> PrivateKeyTypes:
    with translated(path):
        try:
            return load_pem_private_key(path.read_bytes(), None)
        except FileNotFoundError:
            raise SettingsError(f"{path} does not exist; run 'wellkeeper init' to make the keys") from None
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SettingsError(f"{path} holds no unencrypted PEM key: {error}; restore it from a backup") from error
