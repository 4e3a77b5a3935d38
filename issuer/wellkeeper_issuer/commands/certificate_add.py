"""certificate add: a drop-in for a new certificate, a placeholder for nginx, and the certificate itself."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.one_shot import Work, run
from wellkeeper_issuer.commands.one_shot import to_json as report_to_json
from wellkeeper_issuer.commands.placeholder import Placeholders, make_placeholders
from wellkeeper_issuer.commands.reload import describe
from wellkeeper_issuer.commands.terminal import options, results
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.trust import lines_for_nginx
from wellkeeper_issuer.csr import check_csr
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.host.drop_ins import drop_in_path, remove_drop_in, write_drop_in
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, check, read_settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.settings.files import CERTIFICATES, Sources, TomlFile, drop_in_folder, read_sources
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import KeyType

# What complaints name before there is a file.
_NOT_WRITTEN: Final = Path("the new certificate")
_IN_NGINX: Final = "In the server block of nginx that listens with ssl:"
_NOT_OBTAINED: Final = "\nA daemon obtains it after the next 'wellkeeper reload'."
_COMMENT: Final = "Written by 'wellkeeper certificate add'."
# Where a mistake stands in a table, which whoever gave an argument has not seen.
_AS_A_TABLE: Final = re.compile(r"certificates\[0\](\.identifiers\[\d+\]: |\.|: )")


@dataclass(frozen=True, slots=True)
class _Added:
    """What was set up; `daemon` is what a daemon answered that has read it, None without one."""

    settings: Settings
    certificate: CertificateSettings
    drop_in: Path
    placeholders: Placeholders
    daemon: dict[str, Any] | None

    @property
    def live_path(self) -> str:
        return build.certificates(self.settings).live_path(self.certificate.name)

    def to_json(self, report: Report | None) -> dict[str, Any]:
        return {
            "name": self.certificate.name,
            "drop_in": str(self.drop_in),
            "live_path": self.live_path,
            "placeholder": bool(self.placeholders.made),
            "daemon": self.daemon,
            "certificate": report_to_json(report, self.certificate.to_lineage()) if report else None,
        }

    def to_text(self) -> str:
        lines = lines_for_nginx(self.live_path, self.certificate)
        text = f"{self.placeholders.to_text()}\nwrote  {self.drop_in}\n\n{_IN_NGINX}\n\n{lines}"
        return f"{text}\nThe daemon {describe(self.daemon)}" if self.daemon else text


@click.command()
@click.argument("identifiers", metavar="NAME[,NAME…]", nargs=-1, required=True)
@click.option("--name", help="The folder below live/.  [default: the first name]")
@click.option("--key-type", type=click.Choice([one.value for one in KeyType]), help="[default: ecdsa-p256]")
@click.option("--profile", help="A profile of the CA, such as shortlived.")
@click.option(
    "--ca",
    multiple=True,
    shell_complete=options.complete_cas,
    help="A CA for this certificate; repeat it for others to fall back on.",
)
@click.option("--reuse-key", is_flag=True, help="Keep the key at renewals, for those who pin it.")
@click.option(
    "--csr",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with a CSR of yours: its key stays elsewhere.",
)
@click.option("--no-renew", is_flag=True, help="Only write it down: a daemon obtains it after the next reload.")
@options.config_option
@options.json_option
def add(identifiers: tuple[str, ...], config: Path | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Add a certificate for the names NAME[,NAME…], obtain it, and say what nginx needs.

    A daemon is told and obtains it; without one it is obtained here. Exit status as that of renew.
    """
    if len(identifiers) > 1:
        raise click.UsageError(f"one certificate at a time; several names of one have commas: {','.join(identifiers)}")
    path, is_renewed = settings_path(config), not given.pop("no_renew")
    certificate, drop_in = _write(path, _values(identifiers[0], given))
    try:
        added = _prepare(path, drop_in, certificate, is_reloaded=is_renewed)
    except WellkeeperError:
        remove_drop_in(drop_in)  # what cannot be set up now is not left for the daemon's next start
        raise
    if not as_json:
        click.echo(added.to_text())
    report = _obtain(added) if is_renewed else None
    if as_json:
        print_json(added.to_json(report))
    else:
        click.echo(results.to_text(report) if report else _NOT_OBTAINED)
    if report and report.outcome in results.UNSUCCESSFUL:
        click.get_current_context().exit(1)


def _prepare(path: Path, drop_in: Path, certificate: CertificateSettings, *, is_reloaded: bool) -> _Added:
    """Make what nginx needs to start with it, and have a daemon read it."""
    settings = read_settings(path)
    placeholders = make_placeholders(settings, (certificate.name,))
    answer = asyncio.run(remote.ask(settings, {"command": "reload"})) if is_reloaded else None
    return _Added(settings, certificate, drop_in, placeholders, answer)


def _obtain(added: _Added) -> Report:
    """Follow the daemon if there is one. Once it has failed, it does not try again: the CA counts failures."""
    name, settings = added.certificate.name, added.settings
    mode = Mode.RETRY if added.daemon is None else Mode.SCHEDULED
    return run(Work(settings, choose(settings, [name]), mode))[0]


def _values(identifiers: str, given: dict[str, Any]) -> dict[str, Any]:
    """As TOML would have it; only what was given."""
    names = [part.strip() for part in identifiers.split(",") if part.strip()]
    csr = given.pop("csr")
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items() if value}
    return {"identifiers": names, **values, **({"csr": str(csr.absolute())} if csr else {})}


def _write(path: Path, values: dict[str, Any]) -> tuple[CertificateSettings, Path]:
    """Only what holds together with all that is there; raises SettingsError with nothing changed."""
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
        read_settings(path)
    except SettingsError:
        remove_drop_in(drop_in)  # somebody else changed something meanwhile
        raise
    return certificate, drop_in


def _check_is_new(sources: Sources, settings: Settings, values: dict[str, Any]) -> None:
    try:
        name = CertificateSettings.model_validate(values).name
    except ValidationError:
        return  # of which `check` complains in words for people
    for index, one in enumerate(settings.certificates):
        if one.name == name:
            raise SettingsError(
                f"the certificate {name} is there already ({sources.name_place((CERTIFICATES, index))}); edit the file,"
                f" or 'wellkeeper certificate remove {name}', or give this one another --name"
            )


def _check_csr(certificate: CertificateSettings, csr: Path) -> None:
    try:
        data = csr.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {csr}", error.strerror or str(error), remedies.of_reading(error)) from error
    check_csr(data, str(csr), certificate.identifiers, ())
