"""`state_dir`: the account key, the publishing key, and which account we have at which CA.

One account key serves all CAs, so that its thumbprint, to which responders are pinned, stays when the CA changes. Keys
are made once, durably, readable by their owner only, and never overwritten. Blocking, and quick.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from issuer.errors import SettingsError
from issuer.outside import durable

_OURS: Final = durable.Owner()


class AccountFolder:
    """`state_dir` and what the settings say about accounts."""

    def __init__(
        self, state_dir: Path, *, contact: tuple[str, ...] = (), terms_of_service_agreed: bool = False
    ) -> None:
        self._state_dir = state_dir
        self._accounts = state_dir / "accounts"
        self._account_key = self._accounts / "account_key.pem"
        self._publishing_key = state_dir / "publishing_key.pem"
        self._next_publishing_key = state_dir / "publishing_key.next.pem"
        self.contact = contact
        self.terms_of_service_agreed = terms_of_service_agreed

    def make_keys(self, *, is_publishing_key_rotated: bool = False) -> tuple[Path, ...]:
        """Makes the keys that are missing and returns their paths; raises SettingsError.

        A publishing key is rotated by making the next one, which responders are told before it takes its place.
        """
        wanted = [self._account_key, self._publishing_key]
        wanted += [self._next_publishing_key] if is_publishing_key_rotated else []
        with _translated(self._state_dir):
            durable.make_folder(self._state_dir, 0o700, _OURS)
            durable.make_folder(self._accounts, 0o700, _OURS)
            made = []
            for path in wanted:
                if not path.exists():
                    key = _new_account_key() if path is self._account_key else ed25519.Ed25519PrivateKey.generate()
                    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                    _write_whole(path, pem)
                    made.append(path)
            return tuple(made)

    @property
    def account_key(self) -> ec.EllipticCurvePrivateKey:
        """ES256. Raises SettingsError when it is missing or something else."""
        key = _read_key(self._account_key)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise SettingsError(
                f"{self._account_key} is no P-256 key; put the key back that 'wellkeeper-issuer init' made"
            )
        return key

    @property
    def publishing_key(self) -> ed25519.Ed25519PrivateKey:
        """Ed25519. Raises SettingsError when it is missing or something else."""
        return _read_publishing_key(self._publishing_key)

    @property
    def publishing_keys(self) -> tuple[ed25519.Ed25519PrivateKey, ...]:
        """The one in use, and the next one when there is one: what responders have to believe."""
        with _translated(self._state_dir):
            has_next = self._next_publishing_key.exists()
        following = (_read_publishing_key(self._next_publishing_key),) if has_next else ()
        return (self.publishing_key, *following)

    def read_url(self, directory_url: str) -> str | None:
        """Our account's URL at this CA, if we have one."""
        path = self._record(directory_url)
        with _translated(path):
            try:
                record = json.loads(path.read_bytes())
                return str(record["account_url"])
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError) as error:
                raise SettingsError(
                    f"{path} is damaged ({error}); remove it: the CA will tell the account's URL again"
                ) from error

    def record_url(self, directory_url: str, account_url: str) -> None:
        path = self._record(directory_url)
        record = {"directory_url": directory_url, "account_url": account_url}
        with _translated(path):
            path.unlink(missing_ok=True)
            _write_whole(path, json.dumps(record, indent=2).encode())

    def forget_url(self, directory_url: str) -> None:
        with _translated(self._accounts):
            self._record(directory_url).unlink(missing_ok=True)

    def _record(self, directory_url: str) -> Path:
        """Two directories of one host (production, a test profile) must not share a file."""
        digest = hashlib.sha256(directory_url.encode()).hexdigest()[:8]
        return self._accounts / f"{urlsplit(directory_url).hostname or 'ca'}-{digest}.json"


def _write_whole(path: Path, content: bytes) -> None:
    """The whole file or none, whatever happens in between; never over another one."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.unlink(missing_ok=True)
    durable.write_file(unfinished, content, 0o600, _OURS)
    # Unlike a rename, a link does not replace what is there.
    os.link(unfinished, path)
    unfinished.unlink()
    durable.sync(path.parent)


def _new_account_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _read_publishing_key(path: Path) -> ed25519.Ed25519PrivateKey:
    key = _read_key(path)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise SettingsError(f"{path} is no Ed25519 key; put the key back that 'wellkeeper-issuer init' made")
    return key


def _read_key(path: Path) -> PrivateKeyTypes:
    with _translated(path):
        try:
            return load_pem_private_key(path.read_bytes(), None)
        except FileNotFoundError:
            raise SettingsError(f"{path} does not exist; run 'wellkeeper-issuer init' to make the keys") from None
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SettingsError(f"{path} holds no unencrypted PEM key: {error}; restore it from a backup") from error


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot use {error.filename or path}: {error.strerror}; run as the user who owns the state directory"
        ) from error
