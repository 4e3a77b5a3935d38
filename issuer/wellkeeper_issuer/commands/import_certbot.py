"""import certbot: takes over certificates, account keys and names from certbot, without a new certificate.

Without --apply it only says what would happen. certbot's folder is read and never changed. Idempotent.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from wellkeeper_issuer import pki
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.import_report import report, report_json
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.model import Attempt
from wellkeeper_issuer.outside.host.certbot import read_certbot
from wellkeeper_issuer.outside.host.drop_ins import drop_in_path, write_drop_in
from wellkeeper_issuer.outside.keys.accounts import AccountRecord
from wellkeeper_issuer.outside.keys.key_files import parse_account_key
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.certificate_table import CertificateSettings
from wellkeeper_issuer.settings.files import CERTIFICATES, drop_in_folder
from wellkeeper_issuer.settings.toml_text import to_toml
from wellkeeper_issuer.takeover import Taken, Takeover, take_over
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.deliver.install import install

_FOLDER: Final = Path("/etc/letsencrypt")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where it goes."""

    config: Path
    settings: Settings
    state: State


@click.group("import")
def import_() -> None:
    """Take over what another client has."""


@import_.command(short_help="What certbot has: certificates, keys and the account.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=_FOLDER)
@click.option("--apply", is_flag=True, help="Do it; without, only say what would be done.")
@options.config_option
@options.json_option
def certbot(folder: Path, config: Path | None, *, apply: bool, as_json: bool) -> None:
    """Take over certbot's certificates and account from FOLDER (/etc/letsencrypt); nothing there is changed."""
    settings = options.read(config)
    path, found = settings_path(config), read_certbot(folder)
    ours = {one.name: frozenset(one.identifiers) for one in settings.certificates}
    plan = take_over(found, ours, SystemClock().now())
    tables = {one.name: _table(settings, one) for one in plan.taken}
    done = asyncio.run(_apply(path, settings, plan, tables)) if apply else {}
    if as_json:
        print_json({"applied": apply} | report_json(plan, tables, found.hooks, done))
    else:
        click.echo(report(plan, folder, build.certificates(settings), found.hooks, done if apply else None))


def _table(settings: Settings, one: Taken) -> dict[str, Any]:
    """`[[certificates]]` as the settings take it; raises SettingsError."""
    table = dict(one.table)
    if settings.find_ca(settings.ca[0]).directory != one.directory_url:
        table["ca"] = settings.find_ca(one.directory_url).name
        try:
            settings.find_ca(table["ca"])
        except ValueError:
            table["ca"] = one.directory_url
    try:
        CertificateSettings.model_validate(table)
    except ValidationError as error:
        raise SettingsError(f"{one.found_name} cannot be put into the settings: {error.errors()[0]['msg']}") from error
    return table


async def _apply(
    path: Path, settings: Settings, plan: Takeover, tables: Mapping[str, dict[str, Any]]
) -> dict[str, str]:
    """What was done for each name, and for the CA of each account; raises what stands in the way."""
    done = {}
    folder = build.accounts(settings)
    for account in plan.accounts:
        record = AccountRecord(account.directory_url, account.account_url)
        is_ours = folder.take_over(record, parse_account_key(account.account_key_pem))
        done[account.directory_url] = "taken over" if is_ours else "left out: we have another account there"
    async with build.owned_state(settings, "import") as (state, _):
        for one in plan.taken:
            done[one.name] = await _take(_Place(path, settings, state), one, tables[one.name])
    return done


async def _take(place: _Place, one: Taken, table: dict[str, Any]) -> str:
    """The pair is live and recorded before the settings name it: a renewal never finds a name without it."""
    folders = build.certificates(place.settings)
    installed = await folders.installed(one.name)
    is_newer = installed is None or (
        installed.certificate.is_self_signed or installed.certificate.not_before < one.certificate.not_before
    )
    if is_newer:
        await place.state.attempts.record_attempt(_attempt(one))
        await install(one.name, one.pair, folders, place.state.deliveries.record_flip)
        # It is what was deployed already.
        await place.state.notes.forget_owed_hook(one.name)
    if one.name in {known.name for known in place.settings.certificates}:
        return "its certificate is newer than ours, and taken over" if is_newer else "taken over already"
    text = to_toml("Taken over from certbot.", {CERTIFICATES: [table]})
    write_drop_in(drop_in_path(drop_in_folder(place.config), one.name), text)
    return "taken over"


def _attempt(one: Taken) -> Attempt:
    """As if we had obtained it ourselves: so the CA and the account are on record with it."""
    return Attempt(
        lineage=one.name,
        directory_url=one.directory_url,
        identifiers=one.identifiers,
        certificate_key_pem=one.pair.certificate_key_pem,
        csr_der=pki.make_csr(one.pair.certificate_key_pem, one.identifiers),
        chain_pem=one.pair.chain_pem,
        account_url=one.account_url,
    )
