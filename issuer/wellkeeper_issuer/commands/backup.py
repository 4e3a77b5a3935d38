"""backup: write everything that this issuer cannot make again into one encrypted file, and read it back."""

import contextlib
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.backing_up import secrets
from wellkeeper_issuer.commands.backing_up.summary import contents_json, describe
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import BackupError
from wellkeeper_issuer.location import settings_path
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.wording import counted

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.backup.contents import Contents
    from wellkeeper_issuer.outside.backup.encryption import Passphrase, Recipients

_STANDARD_OUTPUT: Final = Path("-")


@dataclass(frozen=True, slots=True)
class _Written:
    """A backup; `checked` says in words what was verified, and is empty if nothing could be."""

    path: Path
    contents: "Contents"
    recipients: tuple[str, ...]
    size: int
    sha256: str
    checked: str


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--recipient", "keys", metavar="KEY", multiple=True, help="Encrypt for this public key; repeatable.")
@secrets.recipients_file_option
@secrets.passphrase_file_option
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@options.config_option
@options.json_option
def backup(  # noqa: PLR0913 - the options
    file: Path,
    config: Path | None,
    *,
    keys: tuple[str, ...],
    recipients_file: Path | None,
    passphrase_file: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write an encrypted backup of this issuer to FILE; '-' is standard output.

    It contains accounts, keys, state, settings, and all certificates, in the format of age (age-encryption.org). Keep
    the private key or the passphrase elsewhere: nothing on this host can decrypt it. A daemon can keep running. Without
    recipients, it asks for a passphrase.

    Exit status: 0 written and verified, 1 another error, 2 usage or settings.
    """
    is_piped = file == _STANDARD_OUTPUT
    if is_piped and (as_json or sys.stdout.isatty()):
        raise click.UsageError("FILE '-' writes the backup to standard output: redirect it, and leave out --json")
    key = secrets.encrypting(keys, recipients_file, passphrase_file)
    written = _back_up(file, key, config, is_replacing=force)
    if as_json:
        print_json(_to_json(written))
    else:
        click.echo(_to_text(written), err=is_piped)


def _back_up(file: Path, key: "Recipients | Passphrase", config: Path | None, *, is_replacing: bool) -> _Written:
    from wellkeeper_issuer.commands.backing_up.collecting import collect
    from wellkeeper_issuer.outside.backup import contents, encryption

    settings = options.read(config)
    if file != _STANDARD_OUTPUT:
        with _translated(file):
            _refuse(file, settings.state_dir, is_replacing=is_replacing)
    found = collect(settings, settings_path(config))
    plain = contents.pack(found)
    contents.unpack(plain)  # a backup that `restore` would refuse must not be kept
    encrypted = key.encrypt(plain)
    sha256 = hashlib.sha256(encrypted).hexdigest()
    recipients = tuple(key.keys) if isinstance(key, encryption.Recipients) else ()
    checked = ""
    if file == _STANDARD_OUTPUT:
        click.echo(encrypted, nl=False)
    else:
        with _translated(file):
            _write(file, encrypted, is_replacing=is_replacing)
            written = file.read_bytes()
        checked = _check(written, key, plain, sha256)
    details = {"recipients": ", ".join(recipients) or "a passphrase", "sha256": sha256}
    build.history(settings.state_dir).add(Happened(What.BACKUP_WRITTEN, str(file), details))
    return _Written(file, found, recipients, len(encrypted), sha256, checked)


def _refuse(file: Path, state_dir: Path, *, is_replacing: bool) -> None:
    """Raise BackupError before the work for a file that will not be written."""
    if file.exists() and not is_replacing:
        raise BackupError(f"cannot write {file}", "it exists", "Choose another name, or replace it with --force.")
    if file.resolve().is_relative_to(state_dir.resolve()):
        why = "it is in state_dir, and would be in the next backup"
        raise BackupError(f"cannot write {file}", why, "Choose another directory.")


def _write(file: Path, content: bytes, *, is_replacing: bool) -> None:
    from wellkeeper_node import durable

    write = durable.replace_whole if is_replacing else durable.create_whole
    write(file, content, 0o600)


@contextlib.contextmanager
def _translated(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "Choose another directory, or write to standard output: 'wellkeeper backup - > FILE'."
        raise BackupError(f"cannot write {file}", error.strerror or str(error), remedy) from error


def _check(written: bytes, key: "Recipients | Passphrase", plain: bytes, sha256: str) -> str:
    """Return what was verified. Raises BackupError."""
    from wellkeeper_issuer.outside.backup import encryption

    if hashlib.sha256(written).hexdigest() != sha256:
        raise BackupError("the backup on disk is damaged", "it is not what was written", "Check that disk.")
    encryption.check_format(written)
    if isinstance(key, encryption.Recipients):
        return f"size and SHA-256 on disk; only {counted(len(key.keys), 'recipient')} can decrypt it"
    if key.decrypt(written) != plain:
        raise BackupError("the backup cannot be decrypted", "the result differs", "This is a bug: please report it.")
    return "decrypted with the passphrase, and compared"


def _to_text(written: _Written) -> str:
    lines = [f"wrote     {written.path} ({written.size} bytes, SHA-256 {written.sha256})"]
    lines += describe(written.contents)
    lines.append(f"verified  {written.checked or 'nothing: standard output cannot be read back'}")
    return "\n".join(lines)


def _to_json(written: _Written) -> dict[str, Any]:
    return {
        "path": str(written.path),
        "size": written.size,
        "sha256": written.sha256,
        "recipients": list(written.recipients),
        "is_decrypted": not written.recipients,
        "contents": contents_json(written.contents),
    }
