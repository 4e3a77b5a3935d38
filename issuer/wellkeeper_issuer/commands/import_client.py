"""import: take over certificates, account keys and names of another ACME client, without obtaining new certificates.

Without --apply it only shows what it would do. The client's directory is read, never changed. Idempotent.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
from pydantic import ValidationError

from wellkeeper_issuer import pki
from wellkeeper_issuer.advice.certbot_lines import CertbotLine, find_certbot_lines
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.import_report import CERTBOT, report, report_json
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.known_cas import CA_DIRECTORIES
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.model import Attempt
from wellkeeper_issuer.outside.host.acme_sh import read_acme_sh
from wellkeeper_issuer.outside.host.certbot import read_certbot
from wellkeeper_issuer.outside.host.dehydrated import read_dehydrated
from wellkeeper_issuer.outside.host.drop_ins import drop_in_path, write_drop_in
from wellkeeper_issuer.outside.host.lego import read_lego
from wellkeeper_issuer.outside.keys.accounts import AccountRecord
from wellkeeper_issuer.outside.keys.key_files import parse_account_key
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.files import CERTIFICATES, drop_in_folder
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_issuer.takeover import Access, Found, LeftOut, Taken, Takeover, take_over
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.deliver.install import install
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.happened import Happened, What, record

_COMMENT: Final = "Imported from {}."
_APPLY: Final = click.option(
    "--apply", is_flag=True, help="Import; without this option, only show what would be imported."
)


def _folder(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Take the directory as an absolute path, as the report has lines to copy into nginx's configuration."""
    path = click.Path(path_type=Path, readable=False)
    return click.argument(
        "folder",
        metavar="[DIRECTORY]",
        type=path,
        default=Path(default),
        callback=lambda _c, _p, given: given.absolute(),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """The destination of an import from `client`."""

    config: Path
    settings: Settings
    state: State
    client: str


@dataclass(frozen=True, slots=True)
class _Source:
    """The content of the directory of another client, with our settings."""

    settings: Settings
    folder: Path
    found: Found


@click.group("import")
def import_() -> None:
    """Import the certificates and accounts of another ACME client."""


@import_.command(short_help="Import certbot's certificates, keys and accounts.")
@_folder("/etc/letsencrypt")
@_APPLY
@options.config_option
@options.json_option
def certbot(folder: Path, config: Path | None, *, apply: bool, as_json: bool) -> None:
    """Import certbot's certificates and accounts from DIRECTORY (/etc/letsencrypt), and change nothing there."""
    settings = options.read(config)
    _import(_Source(settings, folder, read_certbot(folder)), config, is_applied=apply, as_json=as_json)


@import_.command("acme.sh", short_help="Import acme.sh's certificates, keys and accounts.")
@_folder("/root/.acme.sh")
@_APPLY
@options.config_option
@options.json_option
def acme_sh(folder: Path, config: Path | None, *, apply: bool, as_json: bool) -> None:
    """Import acme.sh's certificates and accounts from DIRECTORY (/root/.acme.sh), and change nothing there."""
    settings = options.read(config)
    _import(_Source(settings, folder, read_acme_sh(folder)), config, is_applied=apply, as_json=as_json)


@import_.command(short_help="Import lego's certificates, keys and accounts.")
@_folder("/root/.lego")
@_APPLY
@options.config_option
@options.json_option
def lego(folder: Path, config: Path | None, *, apply: bool, as_json: bool) -> None:
    """Import lego's certificates and accounts from DIRECTORY (/root/.lego), and change nothing there.

    lego does not record the directories of CAs: the CA at an unknown host must be under [[cas]] in the settings.
    """
    settings = options.read(config)
    found = read_lego(folder, lambda host: _directory_at(settings, host))
    _import(_Source(settings, folder, found), config, is_applied=apply, as_json=as_json)


@import_.command(short_help="Import dehydrated's certificates, keys and accounts.")
@_folder("/var/lib/dehydrated")
@_APPLY
@options.config_option
@options.json_option
def dehydrated(folder: Path, config: Path | None, *, apply: bool, as_json: bool) -> None:
    """Import dehydrated's certificates and accounts from DIRECTORY (/var/lib/dehydrated), and change nothing there."""
    settings = options.read(config)
    _import(_Source(settings, folder, read_dehydrated(folder)), config, is_applied=apply, as_json=as_json)


def _import(source: _Source, config: Path | None, *, is_applied: bool, as_json: bool) -> None:
    settings, found = source.settings, source.found
    ours = {one.name: frozenset(one.identifiers) for one in settings.certificates}
    plan, tables = _with_tables(settings, take_over(found, ours, SystemClock().now()))
    path = settings_path(config)
    done = asyncio.run(_apply(path, source, plan, tables)) if is_applied else {}
    lines, trouble = asyncio.run(_lines_of_certbot(source)) if found.client == CERTBOT else ([], ())
    plan = replace(plan, notes=(*plan.notes, *trouble))
    if as_json:
        print_json({"applied": is_applied} | report_json(plan, tables, found, lines, done))
    else:
        folders = build.certificates(settings)
        click.echo(report(plan, source.folder, folders, found, lines, done if is_applied else None))


def _directory_at(settings: Settings, host: str) -> str:
    """Return the directory URL of the CA at this host, with its port, in the settings or else known.

    Raises ValueError when there is none, or more than one.
    """
    ours = {one.directory for one in (*settings.all_cas(), *settings.cas)}
    found = [url for url in ours if urlsplit(url).netloc == host]
    found = found or [url for url in CA_DIRECTORIES.values() if urlsplit(url).netloc == host]
    if len(found) != 1:
        raise ValueError(f"{len(found)} CAs at {host}")
    return found[0]


def _with_tables(settings: Settings, plan: Takeover) -> tuple[Takeover, dict[str, dict[str, Any]]]:
    """Return the plan and the `[[certificates]]` by name; what the settings refuse is left out of both."""
    tables, refused = {}, []
    for one in plan.taken:
        try:
            tables[one.name] = _table(settings, one)
        except SettingsError as error:
            refused.append(LeftOut(one.found_name, str(error)))
    taken = tuple(one for one in plan.taken if one.name in tables)
    return replace(plan, taken=taken, left_out=(*plan.left_out, *refused)), tables


async def _lines_of_certbot(source: _Source) -> tuple[list[CertbotLine], tuple[str, ...]]:
    """Return what `certbot --nginx` wrote into nginx's configuration, and a note when that cannot be read."""
    folder = source.folder.absolute()
    try:
        return find_certbot_lines(await build.make_nginx(source.settings).files(), folder), ()
    except ReloadError as error:
        return [], (f"{error.what}, so look for lines that name {folder} yourself: {error.why}",)


def _table(settings: Settings, one: Taken) -> dict[str, Any]:
    """Return the table for `[[certificates]]`; raises SettingsError."""
    table = dict(one.table)
    if settings.find_ca(settings.ca[0]).directory != one.directory_url:
        try:
            table["ca"] = settings.find_ca(one.directory_url).name
        except ValueError as error:
            raise SettingsError(f"the settings refuse its CA: {error}") from error
        try:
            settings.find_ca(table["ca"])
        except ValueError:
            table["ca"] = one.directory_url
    try:
        CertificateSettings.model_validate(table)
    except ValidationError as error:
        raise SettingsError(f"the settings refuse it: {error.errors()[0]['msg']}") from error
    return table


async def _apply(path: Path, source: _Source, plan: Takeover, tables: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Import, and return the result for each name and for the CA of each account. Raises WellkeeperError."""
    done, settings = {}, source.settings
    folder, place_of = build.accounts(settings), source.found.client
    for account in plan.accounts:
        record = AccountRecord(account.directory_url, account.account_url)
        is_ours = folder.take_over(record, parse_account_key(account.account_key_pem))
        done[account.directory_url] = "imported" if is_ours else "not imported: Wellkeeper has another account there"
    async with build.owned_state(settings, "import") as (state, _):
        for one in plan.taken:
            done[one.name] = await _take(_Place(path, settings, state, place_of), one, tables[one.name])
    return done


async def _take(place: _Place, one: Taken, table: dict[str, Any]) -> str:
    """Install and record the pair before the settings name it, so that no renewal finds the name without it."""
    folders = _folders(place.settings, one.access)
    installed = await folders.installed(one.name)
    is_newer = installed is None or (
        installed.certificate.is_self_signed or installed.certificate.not_before < one.certificate.not_before
    )
    if is_newer:
        await place.state.attempts.record_attempt(_attempt(one))
        await install(one.name, one.pair, folders, place.state.deliveries.record_flip)
        # The client's hooks already deployed this pair.
        await place.state.notes.forget_owed_hook(one.name)
    if one.name in {known.name for known in place.settings.certificates}:
        return "imported again: its certificate is newer" if is_newer else "already imported"
    text = to_toml(_COMMENT.format(place.client), {CERTIFICATES: [table]})
    path = drop_in_path(drop_in_folder(place.config), one.name)
    write_drop_in(path, text)
    details = {"names": ", ".join(map(str, one.identifiers)), "file": str(path)}
    await record(build.history(place.settings.state_dir), Happened(What.CERTIFICATE_ADDED, one.name, details))
    return "imported"


def _folders(settings: Settings, access: Access) -> CertificateFolders:
    """Return the folders, with the owner and the group of certbot's key unless the settings name others."""
    if settings.certificates_owner or settings.certificates_group:
        return build.certificates(settings)
    group = access.group if access.mode & 0o044 else None
    return CertificateFolders(settings.certificates_dir, owner=access.owner, group=group)


def _attempt(one: Taken) -> Attempt:
    """Return an attempt that records the CA and the account, as if we had obtained the pair."""
    return Attempt(
        lineage=one.name,
        directory_url=one.directory_url,
        identifiers=one.identifiers,
        certificate_key_pem=one.pair.certificate_key_pem,
        csr_der=pki.make_csr(one.pair.certificate_key_pem, one.identifiers),
        chain_pem=one.pair.chain_pem,
        account_url=one.account_url,
    )
