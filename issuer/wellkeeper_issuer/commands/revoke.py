"""revoke: revoke a certificate at its CA; nginx serves it until it is replaced."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.authorities import open_authorities
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.progress import progress
from wellkeeper_issuer.errors import JournalError, SettingsError
from wellkeeper_issuer.records import Origin
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.certificate_table import EXTERNAL
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.upkeep.planner import record_revoked
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.happened import Happened, What, record
from wellkeeper_node.model import Installed, Pair

if TYPE_CHECKING:
    from wellkeeper_issuer.outside.ca.connection import Connection

_log = logging.getLogger(__name__)

_STAYS: Final = "nginx serves it until it is replaced"
_REASONS: Final = ("unspecified", "keyCompromise", "superseded", "cessationOfOperation", "affiliationChanged")


@dataclass(frozen=True, slots=True)
class _Request:
    """The certificate to revoke, its CA, and the options."""

    settings: Settings
    installed: Installed
    pair: Pair
    origin: Origin
    reason: str
    with_certificate_key: bool


@dataclass(frozen=True, slots=True)
class Replacement:
    """The replacement of a revoked certificate, as a clause; failed if it is needed but nothing will replace it."""

    words: str
    is_replaced: bool = False
    has_failed: bool = False


@click.command()
@options.name_argument
@click.option("--reason", type=click.Choice(_REASONS), default="unspecified", show_default=True)
@click.option("--with-certificate-key", is_flag=True, help="Sign with the certificate's own key; no account is needed.")
@click.option(
    "--ca",
    shell_complete=options.complete_cas,
    help="The CA that issued it, if that is not recorded: a name or a directory URL.",
)
@options.config_option
@options.json_option
def revoke(name: str, config: Path | None, as_json: bool, **options_given: Any) -> None:  # noqa: ANN401
    """Revoke the installed certificate NAME, and let the next renewal replace it.

    After keyCompromise its key is never used again, even with reuse_key in the settings.

    Exit status: 0 revoked, 1 not revoked or not replaced, 2 invalid usage or settings.
    """
    settings = options.read(config)
    replacement = asyncio.run(_revoke(settings, name, options_given, as_json=as_json))
    if replacement.has_failed:
        click.get_current_context().exit(1)


async def _revoke(settings: Settings, name: str, options_given: dict[str, Any], *, as_json: bool) -> Replacement:
    folders = build.certificates(settings)
    if await folders.installed(name) is None:
        name = choose(settings, [name])[0].name
    request = await _request(settings, folders, name, options_given)
    if request.reason == "keyCompromise":
        await folders.disown_key(name)  # before the CA is asked, so that no failure in between leaves the key in use
    is_new = await _ask(request)
    await folders.mark_revoked(name)
    details = {"serial": request.installed.certificate.serial, "reason": request.reason}
    details |= {"ca": request.origin.directory_url}
    await record(build.history(settings.state_dir), Happened(What.CERTIFICATE_REVOKED, name, details))
    replacement = await have_replaced(settings, request.installed, request.origin)
    serial = request.installed.certificate.serial
    if as_json:
        found = {"name": name, "serial": serial, "reason": request.reason, "was_revoked_already": not is_new}
        print_json(found | {"is_replaced": replacement.is_replaced, "next": replacement.words})
        return replacement
    state = "is revoked" if is_new else "was revoked already"
    click.echo(f"{name}: the certificate with serial {serial} {state}; {replacement.words}")
    return replacement


async def _request(
    settings: Settings, folders: CertificateFolders, name: str, options_given: dict[str, Any]
) -> _Request:
    installed, pair = await folders.installed(name), await folders.read_pair(name)
    if installed is None or pair is None or installed.certificate.is_self_signed:
        raise SettingsError(f"{name!r} has no CA-issued certificate to revoke in {settings.certificates_dir}/live")
    if options_given["with_certificate_key"] and not pair.certificate_key_pem:
        raise SettingsError(f"the key of {name} is not on this host", "it uses a CSR", "Omit --with-certificate-key.")
    origin = await _origin(settings, name, options_given["ca"])
    return _Request(settings, installed, pair, origin, options_given["reason"], options_given["with_certificate_key"])


async def _origin(settings: Settings, name: str, ca: str | None) -> Origin:
    if ca is not None:
        try:
            return Origin(settings.find_ca(ca).directory, "")
        except ValueError as error:
            raise SettingsError("cannot use --ca", str(error)) from error
    async with build.state_to_read(settings) as state:
        origin = await state.deliveries.read_origin(name)
    if origin is not None and origin.directory_url:
        return origin
    if _is_external(settings, name):
        raise SettingsError(
            f"cannot revoke the certificate of {name}",
            "another ACME client obtained it, and its CA is not recorded",
            "Add --ca and --with-certificate-key, or revoke it with that client.",
        )
    preferred = settings.all_cas()[0]
    _log.warning("the CA that issued %s is not recorded; asking %s (choose another with --ca)", name, preferred.name)
    return Origin(preferred.directory, "")


def _is_external(settings: Settings, name: str) -> bool:
    return any(one.name == name and one.source == EXTERNAL for one in settings.certificates)


async def _ask(request: _Request) -> bool:
    async with open_authorities(request.settings) as authorities:
        if not request.with_certificate_key:
            return await _send(authorities.open(request.origin.directory_url).connection, request)
        return await _send(authorities.connect(request.origin.directory_url), request)


async def _send(connection: "Connection", request: _Request) -> bool:
    from wellkeeper_issuer.outside.ca.revocation import Reason, revoke

    key_pem = request.pair.certificate_key_pem if request.with_certificate_key else None
    return await revoke(connection, request.pair.chain_pem, Reason[request.reason], key_pem)


async def have_replaced(settings: Settings, installed: Installed, origin: Origin) -> Replacement:
    """Make the certificate due, or let the daemon replace it, or explain what the administrator must do."""
    name = installed.lineage
    if name not in {one.name for one in settings.certificates}:
        return Replacement("it is not configured, so nothing will replace it: remove it from nginx")
    if _is_external(settings, name):
        deliver = f"'wellkeeper deliver {name}'"
        return Replacement(f"{_STAYS}: obtain a new one with the other client, whose hook runs {deliver}")
    by_hand = f"run 'wellkeeper renew {name} --force' to replace it now"
    try:
        async with build.owned_state(settings, "revoke") as (state, _):
            known = await state.schedules.read_schedule(name)
            await record_revoked(state.schedules, known, installed, origin, SystemClock().now())
    except JournalError as error:
        return await _by_daemon(settings, name) or Replacement(f"{_STAYS}: {error}; {by_hand}", has_failed=True)
    return Replacement(f"{_STAYS}: the next renewal replaces it; {by_hand}")


async def _by_daemon(settings: Settings, name: str) -> Replacement | None:
    """Let the daemon, which owns the state, replace the certificate now; None when no daemon runs."""
    try:
        with progress("auto") as reporting:
            reports = await remote.renew(settings, [name], Mode.REVOKED, reporting)
    except WellkeeperError as error:
        return Replacement(f"{_STAYS}: the daemon could not replace it: {error}", has_failed=True)
    if not reports:
        return None
    report = reports[0]
    if report.outcome in {Outcome.SERVED, Outcome.INSTALLED, Outcome.NOT_SERVED_YET}:
        return Replacement("the daemon has replaced it", is_replaced=True)
    return Replacement(f"{_STAYS}: the daemon could not replace it: {report.error or report.reason}", has_failed=True)
