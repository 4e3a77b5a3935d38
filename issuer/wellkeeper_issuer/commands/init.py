"""init: write the settings and the trust file, create the keys, and print the next steps. Idempotent."""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands import trust_file
from wellkeeper_issuer.commands.new_settings import (
    FOLDERS,
    check_rights,
    options_of_new_settings,
    settings_values,
    translated,
    unused_options,
    write_settings,
)
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.questions import ask
from wellkeeper_issuer.commands.trust import nginx_lines, to_json
from wellkeeper_issuer.commands.trust_file import HostTrust
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node import presence
from wellkeeper_node.happened import History

_REMEDY: Final = "edit the file, or run 'wellkeeper certificate add'"
_ON_READ_ONLY: Final = "name another file with trust_file, as 'wellkeeper prepare' does"
_ON_TERMS: Final = "read the terms, then set it to true"


@dataclass(frozen=True, slots=True)
class _Done:
    """The files that init wrote or kept, and the keys that it created; `refusal` is why there is no trust file."""

    path: Path
    is_written: bool
    unused_options: list[str]
    keys: list[str]
    trust: HostTrust
    refusal: str

    def to_json(self, settings: Settings) -> dict[str, Any]:
        return {
            "settings": {"path": str(self.path), "is_written": self.is_written, "unused_options": self.unused_options},
            "keys_made": self.keys,
            **to_json(settings, self.trust, is_written=self.trust.is_missing and not self.refusal),
        }

    def to_text(self, settings: Settings) -> str:
        unused = f"; {', '.join(self.unused_options)} ignored: {_REMEDY}" if self.unused_options else ""
        lines = [f"wrote  {self.path}" if self.is_written else f"kept   {self.path}{unused}"]
        if self.is_written and not settings.terms_of_service_agreed:
            lines.append(f"note   terms_of_service_agreed = false: CAs with terms refuse an account; {_ON_TERMS}")
        lines += [f"made   {key}" for key in self.keys]
        if self.refusal:
            return "\n".join([*lines, f"note   {self.refusal}: {_ON_READ_ONLY}"])
        if self.trust.is_missing:
            return "\n".join([*lines, f"wrote  {self.trust.path}"])
        stale = "" if self.trust.is_current else f"\nnote   {self.trust.note}"
        return "\n".join([*lines, f"kept   {self.trust.path}{stale}"])


@click.command()
@options_of_new_settings
@click.option("--next-publishing-key", is_flag=True, help="Create the next publishing key; 'trust' shows both.")
@options.config_option
@options.json_option
def init(config: Path | None, as_json: bool, **answers: Any) -> None:  # noqa: ANN401
    """Set up this host: write settings, keys and trust file, and show the lines for nginx.

    Existing settings are not changed, and existing keys are never replaced. For new settings, it asks for missing
    options in a terminal; elsewhere and with --json it needs --agree-to-terms-of-service if the CA has terms.
    """
    path, is_rotated = settings_path(config), answers.pop("next_publishing_key")
    folders = {key: answers.pop(key) for key in FOLDERS}
    with translated(path):
        is_written = not presence.exists(path)
    unused = [] if is_written else unused_options(answers | folders, answers | folders)
    if is_written:
        check_rights(path, "init")
        given = {key: value for key, value in folders.items() if value}
        new = ask(answers | folders | {"config": config}, may_prompt=not as_json)
        write_settings(path, settings_values(new, given))
    settings = read_settings(path)
    made = build.accounts(settings).make_keys(is_publishing_key_rotated=is_rotated)
    trust = trust_file.find(settings, path)
    refusal = _write_missing(trust, build.history(settings.state_dir))
    done = _Done(path, is_written, unused, [str(key) for key in made], trust, refusal)
    if as_json:
        print_json(done.to_json(settings))
    else:
        click.echo(f"{done.to_text(settings)}\n\n{nginx_lines(settings)}")


def _write_missing(trust: HostTrust, history: History) -> str:
    """Write the trust file if there is none; return why it cannot be beside settings that are mounted read-only."""
    if not trust.is_missing:
        return ""
    try:
        trust_file.write(trust, history)
    except SettingsError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EROFS:
            raise
        return f"{error.what}: {error.why}"
    return ""
