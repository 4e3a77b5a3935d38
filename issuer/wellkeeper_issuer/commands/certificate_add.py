"""certificate add: write a drop-in for a new certificate, create a placeholder, and obtain the certificate."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.one_shot import Work, run
from wellkeeper_issuer.commands.one_shot import to_json as report_to_json
from wellkeeper_issuer.commands.placeholder import Placeholders, make_placeholders
from wellkeeper_issuer.commands.reload import describe
from wellkeeper_issuer.commands.terminal import interrupts, options, results
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.trust import IN_PROGRAM, is_in_other_container, lines_for_nginx
from wellkeeper_issuer.csr import check_csr
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.host.drop_ins import drop_in_path, remove_drop_in, write_drop_in
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, check, read_settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.settings.files import CERTIFICATES, Sources, TomlFile, drop_in_folder, read_sources
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_node import rights
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.findings import Finding
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.model import KeyType

# Replaces the file name in complaints about a file that does not exist yet.
_NOT_WRITTEN: Final = Path("the new certificate")
_IN_NGINX: Final = """\
Add to each of its server blocks on port 80 (with 'return' and 'if' inside 'location /'):

  include snippets/wellkeeper/challenge.conf;

and to those on port 443 ('wellkeeper setup' prints both as a patch):

  listen 443 ssl;
  listen [::]:443 ssl;
  include snippets/wellkeeper/tls.conf;
"""
_IN_CONTAINER: Final = f"""\
Add to each of its server blocks for HTTP (with 'return' and 'if' inside 'location /'):

  include {IN_PROGRAM}/challenge.conf;

and to those that listen with ssl:

  include {IN_PROGRAM}/tls.conf;
"""
_WAITS: Final = "The daemon, or 'wellkeeper renew {}', obtains it once nginx answers challenges."
_NOT_OBTAINED: Final = "\nThe daemon obtains it after the next 'wellkeeper reload'."
_COMMENT: Final = "Written by 'wellkeeper certificate add'."
# The location of a mistake in a table, which means nothing to a user who gave arguments.
_AS_A_TABLE: Final = re.compile(r"certificates\[0\](\.identifiers\[\d+\]: |\.|: )")


@dataclass(frozen=True, slots=True)
class _Added:
    """A new certificate; `daemon` is the answer of the daemon that read it, None without a daemon."""

    settings: Settings
    certificate: CertificateSettings
    drop_in: Path
    placeholders: Placeholders
    daemon: dict[str, Any] | None

    @property
    def live_path(self) -> str:
        return build.certificates(self.settings).live_path(self.certificate.name)

    def to_json(self, report: Report | None, found: Sequence[Finding]) -> dict[str, Any]:
        return {
            "name": self.certificate.name,
            "drop_in": str(self.drop_in),
            "live_path": self.live_path,
            "placeholder": bool(self.placeholders.made),
            "daemon": self.daemon,
            "certificate": report_to_json(report, self.certificate.to_lineage()) if report else None,
            "findings": list(map(asdict, found)),
        }

    def to_text(self) -> str:
        lines = lines_for_nginx(self.live_path, self.certificate)
        includes = _IN_CONTAINER if is_in_other_container(self.settings) else _IN_NGINX
        text = f"{self.placeholders.to_text()}\nwrote  {self.drop_in}\n\n{includes}{lines}"
        return f"{text}\nThe daemon {describe(self.daemon)}" if self.daemon else text


@click.command()
@click.argument("identifiers", metavar="NAME[,NAME…]", nargs=-1, required=True)
@click.option("--name", help="Name of the certificate and of its directory in live/.  [default: the first name]")
@click.option("--key-type", type=click.Choice([one.value for one in KeyType]), help="[default: ecdsa-p256]")
@click.option("--profile", help="A profile of the CA, such as shortlived.")
@click.option(
    "--ca",
    multiple=True,
    shell_complete=options.complete_cas,
    help="CA for this certificate; repeat the option to name others to try after it.",
)
@click.option("--reuse-key", is_flag=True, help="Keep the key at renewals, for clients that pin it.")
@click.option(
    "--csr",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with your own CSR; Wellkeeper never sees its key.",
)
@click.option(
    "--no-renew",
    is_flag=True,
    help="Only write the settings; the daemon obtains the certificate after the next reload.",
)
@options.config_option
@options.json_option
def add(identifiers: tuple[str, ...], config: Path | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Add a certificate for the names NAME[,NAME…], obtain it, and show the lines for nginx.

    If a daemon runs, it obtains the certificate; otherwise this command does. While nginx does not answer challenges
    for all names, the certificate waits, and nothing is ordered. At the end, list what doctor reports about it.

    Exit status: 0 success (or it waits), 1 it failed, 2 usage or settings.
    """
    if len(identifiers) > 1:
        raise click.UsageError(
            f"Add one certificate at a time; separate its names with commas: {','.join(identifiers)}"
        )
    options.refuse_standbys(config)
    path, is_renewed = settings_path(config), not given.pop("no_renew")
    certificate, drop_in = write_certificate(path, _values(identifiers[0], given))
    with ExitStack() as undo, interrupts.terminable():
        undo.callback(_take_back, path, drop_in, is_reloaded=is_renewed)
        added = _prepare(path, drop_in, certificate, is_reloaded=is_renewed)
        undo.pop_all()
    if not as_json:
        click.echo(added.to_text())
    report = _obtain(added) if is_renewed else None
    if not as_json:
        click.echo(results.to_text(report) if report else _NOT_OBTAINED)
        if report and report.outcome is Outcome.WAITING:
            click.echo(_WAITS.format(certificate.name))
    _end(added, report, path, as_json=as_json)
    if report and report.outcome is Outcome.FAILED:
        click.get_current_context().exit(1)


def _end(added: _Added, report: Report | None, path: Path, *, as_json: bool) -> None:
    """Print the findings of doctor, or all as JSON."""
    from wellkeeper_issuer.commands import further  # completion needs only the options

    found = list[Finding]()
    if report is not None:
        name, said = added.certificate.name, results.to_text(report)
        found = further.find(path, [name], said, further.OBTAINED, has_progress=not as_json)
    if as_json:
        print_json(added.to_json(report, found))
    else:
        further.show(found)


def _prepare(path: Path, drop_in: Path, certificate: CertificateSettings, *, is_reloaded: bool) -> _Added:
    """Create a placeholder so that nginx can start, and make the daemon reload."""
    settings = read_settings(path)
    placeholders = make_placeholders(settings, (certificate.name,))
    answer = interrupts.run(remote.ask(settings, {"command": "reload"})) if is_reloaded else None
    return _Added(settings, certificate, drop_in, placeholders, answer)


def _take_back(path: Path, drop_in: Path, *, is_reloaded: bool) -> None:
    """Remove the drop-in, which the daemon would use at its next start, and make it forget what it read already."""
    remove_drop_in(drop_in)
    if is_reloaded:
        with suppress(WellkeeperError):  # the first error counts
            asyncio.run(remote.ask(read_settings(path), {"command": "reload"}))


def _obtain(added: _Added) -> Report:
    """Obtain the certificate; after a failure in the daemon, do not retry: the CA counts failures."""
    name, settings = added.certificate.name, added.settings
    mode = Mode.RETRY if added.daemon is None else Mode.SCHEDULED
    return run(Work(settings, choose(settings, [name]), mode))[0]


def _values(identifiers: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the given values as TOML would have them."""
    names = [part.strip() for part in identifiers.split(",") if part.strip()]
    csr = given.pop("csr")
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items() if value}
    return {"identifiers": names, **values, **({"csr": str(csr.absolute())} if csr else {})}


def write_certificate(path: Path, values: dict[str, Any]) -> tuple[CertificateSettings, Path]:
    """Write the drop-in if the settings with it are valid; else raise SettingsError and change nothing."""
    sources = read_sources(path)
    _check_is_new(sources, check(sources), values)
    new = TomlFile(_NOT_WRITTEN, "", {CERTIFICATES: [values]})
    try:
        certificate = check(Sources(sources.main, (*sources.drop_ins, new))).certificates[-1]
    except SettingsError as error:
        raise SettingsError(_AS_A_TABLE.sub("", str(error))) from error
    if certificate.csr:
        _check_csr(certificate, certificate.csr)
    drop_in = drop_in_path(drop_in_folder(path), certificate.name)
    write_drop_in(drop_in, to_toml(_COMMENT, {CERTIFICATES: [{"name": certificate.name, **values}]}))
    try:
        settings = read_settings(path)
    except SettingsError:
        remove_drop_in(drop_in)  # another process changed the settings meanwhile
        raise
    details = {"names": ", ".join(map(str, certificate.identifiers)), "file": str(drop_in)}
    build.history(settings.state_dir).add(Happened(What.CERTIFICATE_ADDED, certificate.name, details))
    return certificate, drop_in


def _check_is_new(sources: Sources, settings: Settings, values: dict[str, Any]) -> None:
    try:
        name = CertificateSettings.model_validate(values).name
    except ValidationError:
        return  # `check` reports it
    for index, one in enumerate(settings.certificates):
        if one.name == name:
            raise SettingsError(
                f"certificate {name} already exists",
                sources.name_place((CERTIFICATES, index)),
                f"Edit that file, or run 'wellkeeper certificate remove {name}' first, or choose another --name.",
            )


def _check_csr(certificate: CertificateSettings, csr: Path) -> None:
    try:
        data = rights.read_file(csr, follows_link=True)
    except OSError as error:
        raise SettingsError(f"cannot read {csr}", error.strerror or str(error), remedies.of_reading(error)) from error
    except ValueError as error:
        raise SettingsError(f"cannot read {csr}", str(error)) from error
    check_csr(data, str(csr), certificate.identifiers, ())
