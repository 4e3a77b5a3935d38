"""Read and write private key files: whole, durable, readable by their owner only, never overwritten.

Blocking, but fast.
"""

import contextlib
import logging
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

from wellkeeper_client import permissions
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_node import durable, public_keys
from wellkeeper_node.errors import Retry

_log = logging.getLogger(__name__)

OURS: Final = durable.Owner()
_MODE: Final = 0o600
_SHORTEST_RSA_BITS: Final = 2048
CREATE: Final = "Run 'wellkeeper init' to create it."

AccountKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def account_thumbprint(account_key: AccountKey) -> str:
    """Return the RFC 7638 thumbprint (SHA-256, base64url), which responders are pinned to."""
    return public_keys.thumbprint(account_key.public_key()) or ""


def make_account_key(path: Path) -> None:
    """Create a P-256 key, which every CA accepts. Raises FileExistsError."""
    _write_key(path, ec.generate_private_key(ec.SECP256R1()))


def make_ed25519_key(path: Path) -> None:
    """Create a publishing key or fleet key. Raises FileExistsError."""
    _write_key(path, ed25519.Ed25519PrivateKey.generate())


def read_account_key(path: Path) -> AccountKey:
    """Return a P-256 key, as we create them, or an imported RSA key. Raises SettingsError for anything else."""
    key = _read_key(path, CREATE)
    match key:
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return key
        case rsa.RSAPrivateKey() if key.key_size >= _SHORTEST_RSA_BITS:
            return key
    raise SettingsError(
        f"cannot use account key {path}",
        "it is neither a P-256 key nor an imported RSA key",
        "Restore the key from a backup.",
    )


def parse_account_key(pem: bytes) -> AccountKey:
    """Parse an RSA or ECDSA key from PEM. Raises SettingsError for other kinds of keys."""
    key = load_pem_private_key(pem, None)
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key
    raise SettingsError("cannot import the account key", "it is neither an RSA nor an ECDSA key")


def write_account_key(path: Path, key: AccountKey) -> None:
    """Write an imported key. Raises FileExistsError."""
    _write_key(path, key)


def read_ed25519_key(path: Path, name: str, remedy: str = CREATE) -> ed25519.Ed25519PrivateKey:
    """Return a publishing key or fleet key. Raises SettingsError when it is of another kind, or missing (`remedy`)."""
    key = _read_key(path, remedy)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise SettingsError(f"cannot use {name} {path}", "it is not an Ed25519 key", "Restore the key from a backup.")
    return key


def replace_whole(path: Path, content: bytes) -> None:
    """Replace the file as `durable.replace_whole` does, readable by its owner only."""
    durable.replace_whole(path, content, _MODE)


def check_access(path: Path) -> None:
    """Raise SettingsError if other users may change the secret file, and warn if they may read it."""
    if fault := permissions.find_fault(path):
        raise SettingsError(f"cannot trust {path}", fault.why, fault.remedy)
    if permissions.is_readable_by_others(path):
        _log.warning("other users may read %s: run 'chmod go= %s'", path, path)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate OSError into SettingsError. Only a missing file needs a person; all else (EMFILE, EIO) may pass."""
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot use {error.filename or path}",
            error.strerror or str(error),
            "Run the command with sudo, or as the issuer's user.",
            retry=Retry.NEVER if isinstance(error, FileNotFoundError) else Retry.SOON,
        ) from error


def _write_key(path: Path, key: AccountKey | ed25519.Ed25519PrivateKey) -> None:
    durable.create_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _MODE)


def _read_key(path: Path, remedy: str) -> PrivateKeyTypes:
    check_access(path)
    with translated(path):
        try:
            return load_pem_private_key(path.read_bytes(), None)
        except FileNotFoundError:
            raise SettingsError(f"cannot read key {path}", "the file does not exist", remedy) from None
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SettingsError(
                f"{path} is not an unencrypted PEM key", str(error), "Restore the key from a backup."
            ) from error
