"""Write new settings from the answers to questions, for `init` and `setup`."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from pydantic import BaseModel

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.environment import Names
from wellkeeper_issuer.commands.terminal.questions import Answers
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.files import CERTIFICATES
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_node import durable
from wellkeeper_node.happened import Happened, What

FOLDERS: Final = ("state_dir", "certificates_dir")
_COMMENT: Final = "Settings of wellkeeper; 'wellkeeper config show' prints every key, docs/settings.md explains it."
_FORBIDDEN: Final = "Run the command with sudo, or choose another file with --config."
_READ_ONLY: Final = "Mount a volume there, or put a finished file in its place."
_OPTIONS: Final = (
    click.option(
        "--ca",
        shell_complete=options.complete_cas,
        help=f"{', '.join(CA_DIRECTORIES)}, or the URL of an ACME directory.  [default: letsencrypt]",
    ),
    click.option(
        "--ca-bundle",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="PEM file that verifies the CA's own HTTPS server, for an internal CA.",
    ),
    click.option("--contact", multiple=True, help="Email address for the CA; optional."),
    click.option(
        "--agree-to-terms-of-service", is_flag=True, help="You have read the CA's terms of service and agree."
    ),
    click.option(
        "--certificate",
        multiple=True,
        type=Names(),
        metavar="NAME[,NAME…]",
        help="The names of one certificate; repeatable.",
    ),
    click.option(
        "--state-dir",
        type=click.Path(path_type=Path, readable=False),
        help="Directory for keys and journal, readable only by their owner.",
    ),
    click.option(
        "--certificates-dir",
        type=click.Path(path_type=Path, readable=False),
        help="Directory for certificates, which nginx reads.",
    ),
)
Command = TypeVar("Command", bound=Callable[..., Any])


def options_of_new_settings(command: Command) -> Command:
    """Give the command the options whose values `ask` and `settings_values` take."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def unused_options(given: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the given ones of these options, which change nothing when the settings file exists."""
    return [f"--{name.replace('_', '-')}" for name in names if given.get(name)]


def check_rights(path: Path, command: str) -> None:
    """Raise SettingsError if this user may not write the settings, before anything is asked."""
    folder = next(one for one in path.absolute().parents if os.access(one, os.F_OK))
    if os.geteuid() != 0 and not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"cannot write {path}",
            f"this user (uid {os.geteuid()}) may not write to {folder}",
            f"Run it with sudo: 'sudo wellkeeper {command}'.",
        )


def write_settings(path: Path, values: dict[str, Any]) -> None:
    """Write the settings. If they are invalid, remove the file again and raise SettingsError."""
    _write(path, to_toml(_COMMENT, values, _descriptions()))
    try:
        settings = read_settings(path)
    except SettingsError:
        path.unlink()
        raise
    build.history(settings.state_dir).add(Happened(What.SETTINGS_WRITTEN, str(path), {"keys": ", ".join(values)}))


def _descriptions() -> dict[str, str]:
    """Return the comments for all keys that the file may have."""
    models: tuple[tuple[str, type[BaseModel]], ...] = (("", Settings), (f"{CERTIFICATES}.", CertificateSettings))
    described = {
        f"{prefix}{key}": field.description or ""
        for prefix, model in models
        for key, field in model.model_fields.items()
    }
    # A blank line would separate a comment from the list of tables below it.
    return {key: text for key, text in described.items() if key != CERTIFICATES}


def settings_values(
    answers: Answers, folders: Mapping[str, Path | None], tables: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the values of new settings; `tables` are [nginx] and the like."""
    certificates = [{"identifiers": identifiers} for identifiers in answers.certificates]
    return {
        "ca": answers.ca,
        **({"ca_bundle": str(answers.ca_bundle)} if answers.ca_bundle else {}),
        "contact": answers.contact,
        "terms_of_service_agreed": bool(answers.is_agreed),
        **{key: str(value.absolute()) for key, value in folders.items() if value is not None},
        **(tables or {}),
        **({CERTIFICATES: certificates} if certificates else {}),
    }


def _write(path: Path, text: str) -> None:
    """Replace the file by one rename; raises SettingsError."""
    with translated(path):
        durable.make_folder(path.parent, 0o755, durable.Owner())
        durable.replace_whole(path, text.encode(), 0o644)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = _READ_ONLY if error.errno == errno.EROFS else _FORBIDDEN
        raise SettingsError(f"cannot write {error.filename or path}", str(error.strerror), remedy) from error
