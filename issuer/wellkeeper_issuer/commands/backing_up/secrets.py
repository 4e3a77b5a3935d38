"""Get what encrypts or decrypts a backup from options, or ask for a passphrase."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from wellkeeper_issuer.errors import BackupError
from wellkeeper_node.advice import files as remedies

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.backup.encryption import Identities, Passphrase, Recipients

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
recipients_file_option = click.option(
    "--recipients-file", type=_FILE, help="Encrypt for the public keys in this file, one per line."
)
passphrase_file_option = click.option(
    "--passphrase-file", type=_FILE, help="Use the first line of this file as the passphrase."
)


def encrypting(
    keys: tuple[str, ...], recipients_file: Path | None, passphrase_file: Path | None
) -> "Recipients | Passphrase":
    """Return the recipients, or the passphrase. Raises UsageError and BackupError."""
    from wellkeeper_issuer.outside.backup.encryption import Recipients

    given = (*keys, *(_lines(recipients_file) if recipients_file else ()))
    if given and passphrase_file:
        raise click.UsageError("a backup is either for recipients or for a passphrase: leave out one of them")
    if recipients_file and not given:
        raise BackupError(f"cannot use {recipients_file}", "it has no key", "Write one public key per line.")
    return Recipients(given) if given else _passphrase(passphrase_file, is_new=True)


def decrypting(content: bytes, identities: tuple[Path, ...], passphrase_file: Path | None) -> "Identities | Passphrase":
    """Return what the backup needs. Raises UsageError and BackupError."""
    from wellkeeper_issuer.outside.backup.encryption import Identities, check_format, is_for_passphrase

    check_format(content)
    if is_for_passphrase(content):
        if identities:
            raise click.UsageError("the backup is encrypted with a passphrase: leave out --identity")
        return _passphrase(passphrase_file, is_new=False)
    if not identities:
        raise click.UsageError("Missing option '--identity': the backup is encrypted for recipients")
    return Identities([read(one) for one in identities])


def read(path: Path) -> bytes:
    """Raises BackupError."""
    try:
        return path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise BackupError(f"cannot read {path}", why, remedies.of_reading(error)) from error


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in read(path).decode(errors="replace").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _passphrase(path: Path | None, *, is_new: bool) -> "Passphrase":
    from wellkeeper_issuer.outside.backup.encryption import Passphrase

    if path is not None:
        try:
            text = next(iter(read(path).decode().splitlines()), "")
        except UnicodeDecodeError as error:
            raise BackupError(f"cannot use {path}", "it is not UTF-8", "Write the passphrase in UTF-8.") from error
        if not text:
            raise BackupError(f"cannot use {path}", "its first line is empty", "Write the passphrase there.")
        return Passphrase(text)
    if not sys.stdin.isatty():
        others = "'--recipient' or '--passphrase-file'" if is_new else "'--passphrase-file'"
        raise click.UsageError(f"Missing option {others}: without a terminal, no passphrase can be asked for")
    return Passphrase(click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True))
