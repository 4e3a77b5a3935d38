"""init: write the settings and the trust file, create the keys, and print the next steps. Idempotent."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from pydantic import BaseModel

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands import trust_file
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.questions import Answers, ask
from wellkeeper_issuer.commands.trust import nginx_lines, to_json
from wellkeeper_issuer.commands.trust_file import HostTrust
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.files import CERTIFICATES
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_node import durable, presence

_COMMENT: Final = "Settings of wellkeeper; 'wellkeeper config show' prints every key, docs/settings.md explains it."
_REMEDY: Final = "edit the file, or run 'wellkeeper certificate add'"
_ON_TERMS: Final = "read the terms, then set it to true"


@dataclass(frozen=True, slots=True)
class _Done:
    """The files that init wrote or kept, and the keys that it created."""

    path: Path
    is_written: bool
    unused_options: list[str]
    keys: list[str]
    trust: HostTrust

    @property
    def is_trust_written(self) -> bool:
        """Only a file that did not exist is written: replacing one is a decision of its own."""
        return self.trust.found is None and not self.trust.fault

    def to_json(self, settings: Settings) -> dict[str, Any]:
        return {
            "settings": {"path": str(self.path), "is_written": self.is_written, "unused_options": self.unused_options},
            "keys_made": self.keys,
            **to_json(settings, self.trust, is_written=self.is_trust_written),
        }

    def to_text(self, settings: Settings) -> str:
        unused = f"; {', '.join(self.unused_options)} ignored: {_REMEDY}" if self.unused_options else ""
        lines = [f"wrote  {self.path}" if self.is_written else f"kept   {self.path}{unused}"]
        if self.is_written and not settings.terms_of_service_agreed:
            lines.append(f"note   terms_of_service_agreed = false: CAs with terms refuse an account; {_ON_TERMS}")
        lines += [f"made   {key}" for key in self.keys]
        if self.is_trust_written:
            return "\n".join([*lines, f"wrote  {self.trust.path}"])
        stale = "" if self.trust.is_current else f"\nnote   {self.trust.state}: run 'wellkeeper trust --write'"
        return "\n".join([*lines, f"kept   {self.trust.path}{stale}"])


@click.command()
@click.option(
    "--ca",
    shell_complete=options.complete_cas,
    help=f"{', '.join(CA_DIRECTORIES)}, or the URL of an ACME directory.  [default: letsencrypt]",
)
@click.option("--contact", multiple=True, help="Email address for the CA; optional.")
@click.option("--agree-to-terms-of-service", is_flag=True, help="You have read the CA's terms of service and agree.")
@click.option("--certificate", multiple=True, metavar="NAME[,NAME…]", help="The names of one certificate; repeatable.")
@click.option(
    "--state-dir", type=click.Path(path_type=Path), help="Directory for keys and journal, readable only by their owner."
)
@click.option(
    "--certificates-dir", type=click.Path(path_type=Path), help="Directory for certificates, which nginx reads."
)
@click.option("--next-publishing-key", is_flag=True, help="Create the next publishing key; 'trust' shows both.")
@options.config_option
@options.json_option
def init(config: Path | None, as_json: bool, **answers: Any) -> None:  # noqa: ANN401
    """Set up this host: write settings, keys and trust file, and show the lines for nginx.

    Existing settings are not changed, and existing keys are never replaced. For new settings, it asks for missing
    options in a terminal; elsewhere and with --json it needs --agree-to-terms-of-service if the CA has terms.
    """
    path, is_rotated = settings_path(config), answers.pop("next_publishing_key")
    folders = {key: answers.pop(key) for key in ("state_dir", "certificates_dir")}
    with _translated(path):
        is_written = not presence.exists(path)
    unused = [] if is_written else [name for name, value in (answers | folders).items() if value]
    if is_written:
        given = {key: value for key, value in folders.items() if value}
        _write_settings(path, _values(ask(answers, may_prompt=not as_json), given))
    settings = read_settings(path)
    made = build.accounts(settings).make_keys(is_publishing_key_rotated=is_rotated)
    options_unused = [f"--{name.replace('_', '-')}" for name in unused]
    done = _Done(path, is_written, options_unused, [str(key) for key in made], trust_file.find(settings, path))
    if done.is_trust_written:
        trust_file.write(done.trust)
    if as_json:
        print_json(done.to_json(settings))
    else:
        click.echo(f"{done.to_text(settings)}\n\n{nginx_lines(settings)}")


def _write_settings(path: Path, values: dict[str, Any]) -> None:
    """Write the settings. If they are invalid, remove the file again and raise SettingsError."""
    _write(path, to_toml(_COMMENT, values, _descriptions()))
    try:
        read_settings(path)
    except SettingsError:
        path.unlink()
        raise


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


def _values(answers: Answers, folders: dict[str, Path]) -> dict[str, Any]:
    certificates = [{"identifiers": identifiers} for identifiers in answers.certificates]
    return {
        "ca": answers.ca,
        "contact": answers.contact,
        "terms_of_service_agreed": answers.is_agreed,
        **{key: str(value.absolute()) for key, value in folders.items()},
        **({CERTIFICATES: certificates} if certificates else {}),
    }


def _write(path: Path, text: str) -> None:
    """Replace the file by one rename; raises SettingsError."""
    with _translated(path):
        durable.make_folder(path.parent, 0o755, durable.Owner())
        durable.replace_whole(path, text.encode(), 0o644)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or path}",
            str(error.strerror),
            "Run the command as root, or choose another file with --config.",
        ) from error
