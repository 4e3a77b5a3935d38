"""Encrypt and decrypt in the age format (age-encryption.org/v1) with pyrage, in memory.

The program `age` reads and writes the same. Design: docs/design/0030-backup.md.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wellkeeper_issuer.errors import BackupError

_HEADER: Final = b"age-encryption.org/v1\n"
_FOR_PASSPHRASE: Final = b"-> scrypt "
_SSH: Final = ("ssh-ed25519 ", "ssh-rsa ")
_PRIVATE: Final = "AGE-SECRET-KEY-"
_ARMORED: Final = b"-----BEGIN AGE"
# pyrage takes a millisecond to measure how fast this machine is, and refuses a passphrase that would take it over ten
# seconds. A busy machine seems far slower in that moment.
_SEEMS_SLOW: Final = "Excessive work parameter"
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Recipients:
    """Public keys: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`."""

    keys: Sequence[str]

    def encrypt(self, content: bytes) -> bytes:
        """Raises BackupError for a key that cannot be used."""
        pyrage = _pyrage()
        return bytes(pyrage.encrypt(content, [_recipient(pyrage, one) for one in self.keys]))


@dataclass(frozen=True, slots=True)
class Identities:
    """The text of identity files: lines with `AGE-SECRET-KEY-1…`, or an SSH key without a passphrase."""

    files: Sequence[bytes]

    def decrypt(self, content: bytes) -> bytes:
        """Raises BackupError."""
        pyrage = _pyrage()
        keys = [one for file in self.files for one in _identities(pyrage, file)]
        return _decrypted(
            content,
            lambda: pyrage.decrypt(content, keys),
            "Pass the private key of one of its recipients with --identity.",
        )


@dataclass(frozen=True, slots=True)
class Passphrase:
    text: str

    def encrypt(self, content: bytes) -> bytes:
        return bytes(_pyrage().passphrase.encrypt(content, self.text))

    def decrypt(self, content: bytes) -> bytes:
        """Raises BackupError."""
        pyrage = _pyrage()
        decrypt = patient(lambda: pyrage.passphrase.decrypt(content, self.text))
        return _decrypted(content, decrypt, "Check the passphrase.")


def patient(decrypt: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return a function that tries again while the library takes this machine to be too slow."""

    def decrypt_patiently() -> bytes:
        for _ in range(_TRIES - 1):
            try:
                return decrypt()
            except _pyrage().DecryptError as error:
                if not str(error).startswith(_SEEMS_SLOW):
                    raise
        return decrypt()

    return decrypt_patiently


def check_format(content: bytes) -> None:
    """Raise BackupError for what is not encrypted in the age format."""
    if content.startswith(_HEADER):
        return
    if content.startswith(_ARMORED):
        remedy = "Decode it first: 'age --decrypt' and 'age --encrypt' without --armor."
        raise BackupError("cannot read the backup", "it is armored", remedy)
    raise BackupError(
        "cannot read the backup", "it is not a file in the age format", "Name a file that 'wellkeeper backup' wrote."
    )


def is_for_passphrase(content: bytes) -> bool:
    return content.startswith(_HEADER + _FOR_PASSPHRASE)


def _recipient(pyrage: Any, key: str) -> Any:  # noqa: ANN401 - pyrage is untyped
    kind = pyrage.ssh if key.startswith(_SSH) else pyrage.x25519
    try:
        return kind.Recipient.from_str(key)
    except (pyrage.RecipientError, UnicodeEncodeError) as error:
        # Never quote a private key, which is the file that age-keygen writes.
        is_private = key.upper().startswith(_PRIVATE)
        shown, why = ("this key", "it is a private key") if is_private else (f"{key!r:.80}", str(error))
        remedy = "Use the public key that age-keygen shows (age1…), or a public key of SSH."
        raise BackupError(f"cannot encrypt for {shown}", why, remedy) from error


def _identities(pyrage: Any, file: bytes) -> list[Any]:  # noqa: ANN401 - pyrage is untyped
    try:
        if file.lstrip().startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(file)]
        lines = [line.strip() for line in file.decode().splitlines()]
        return [pyrage.x25519.Identity.from_str(one) for one in lines if one and not one.startswith("#")]
    except (pyrage.IdentityError, UnicodeDecodeError) as error:
        # Its words cannot quote the key: it is not shown.
        remedy = "Name the file that age-keygen wrote, or an SSH key without a passphrase."
        raise BackupError("cannot use the identity", "it is not a private key that age knows", remedy) from error


def _decrypted(content: bytes, decrypt: Callable[[], Any], remedy: str) -> bytes:
    check_format(content)
    try:
        return bytes(decrypt())
    except _pyrage().DecryptError as error:
        what, why = "cannot decrypt the backup", str(error)
        if why.startswith(_SEEMS_SLOW):
            raise BackupError(what, why, "Try again when this machine is less busy, or on a faster one.") from error
        raise BackupError(what, why, f"{remedy} The file may also be damaged.") from error


def _pyrage() -> Any:  # noqa: ANN401 - pyrage is untyped
    """Return the library, which is optional: not every platform has a wheel."""
    try:
        return importlib.import_module("pyrage")
    except ModuleNotFoundError as error:
        remedy = "Run \"pip install 'wellkeeper[backup]'\" where Wellkeeper is installed."
        raise BackupError("cannot encrypt or decrypt", "the Python package pyrage is missing", remedy) from error
