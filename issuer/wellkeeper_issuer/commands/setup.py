"""setup: take a host from an installed nginx to a served certificate; the user applies the changes of nginx."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly.nginx_plan import NginxFound, find_command, propose_changes, read_nginx
from wellkeeper_issuer.commands import further
from wellkeeper_issuer.commands.new_settings import (
    FOLDERS,
    check_rights,
    options_of_new_settings,
    translated,
    unused_options,
)
from wellkeeper_issuer.commands.placeholder import make_placeholders
from wellkeeper_issuer.commands.setting_up import waiting
from wellkeeper_issuer.commands.setting_up.questions import ask
from wellkeeper_issuer.commands.setting_up.report import Result
from wellkeeper_issuer.commands.setting_up.writing import Written, write_host, write_patch
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.commands.terminal.questions import has_terminal
from wellkeeper_issuer.location import DEFAULT_PATH, settings_path
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_issuer.settings.tables import NginxSettings
from wellkeeper_node import presence, units

_UNUSED: Final = ("ca", "ca_bundle", "contact", "agree_to_terms_of_service", *FOLDERS)


@click.command()
@options_of_new_settings
@options.config_option
@options.json_option
def setup(config: Path | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Set up this host: write everything but nginx's configuration, and print the changes that nginx needs.

    In a terminal it asks which names to get certificates for, waits until you have applied the changes, and obtains the
    certificates. Elsewhere, and with --json, it needs --certificate, and --agree-to-terms-of-service if the CA has
    terms; the daemon obtains the certificates once nginx answers challenges. Run it again at any time: it adds what is
    missing, and certificates for new names. At the end, list what doctor reports.

    Exit status: 0 success, 1 nginx or a renewal failed, 2 usage or settings.
    """
    path, folders, asks = (
        settings_path(config).absolute(),
        {key: given.pop(key) for key in FOLDERS},
        not as_json and has_terminal(),
    )
    check_rights(path, "setup")
    settings = _existing(path)
    if settings is not None and settings.certificates:
        make_placeholders(settings, ())  # or nginx refuses its configuration
    base = settings or Settings(nginx=NginxSettings(command=find_command()))
    found = asyncio.run(read_nginx(base))
    known = [frozenset(one.value for one in lineage.identifiers) for lineage in settings.lineages()] if settings else []
    wanted = ask(given | folders | {"config": config}, found.sites(base), known, is_new=settings is None, asks=asks)
    written = write_host(path, wanted, folders, _nginx_table(base, found), found)
    unused = unused_options(given | folders, _UNUSED) if settings else ()
    result = _finish(written, found, unused, is_daemon_started=not asks)
    if not as_json:
        click.echo(result.to_text())
    if asks:
        waiting.wait_and_renew(result)
        return
    without = further.BEFORE_NGINX if result.patch_path else further.OBTAINED
    findings = further.find(path, (), "", without, has_progress=False)
    if as_json:
        print_json(result.to_json() | {"findings": list(map(asdict, findings))})
    else:
        further.show(findings)


def _existing(path: Path) -> Settings | None:
    with translated(path):
        return read_settings(path) if presence.exists(path) else None


def _nginx_table(base: Settings, found: NginxFound) -> dict[str, Any]:
    command = base.nginx.command
    return found.table() | ({} if command == NginxSettings().command else {"command": list(command)})


def _finish(written: Written, found: NginxFound, unused: Sequence[str], *, is_daemon_started: bool) -> Result:
    """Write the patch, start the units, and make a running daemon read new certificates."""
    settings = written.settings
    plan = propose_changes(settings, settings.certificates, found)
    patch_path = write_patch(written.path, plan)
    names = [units.RESPONDER, *([units.DAEMON] if is_daemon_started else [])]
    started = units.start_all(names, written.path, DEFAULT_PATH)
    if written.drop_ins and not written.is_new:
        asyncio.run(remote.ask(settings, {"command": "reload"}))
    return Result(written, started, plan, patch_path, unused)
