"""After setup, in a terminal: wait until nginx has the changes, test with the staging CA, obtain the certificates."""

import asyncio
import select
import sys
from typing import Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.locations import look_at_locations
from wellkeeper_issuer.assembly.nginx_plan import propose_changes, read_nginx
from wellkeeper_issuer.commands import further
from wellkeeper_issuer.commands.one_shot import Work, run
from wellkeeper_issuer.commands.setting_up.report import Result
from wellkeeper_issuer.commands.terminal import results
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_issuer.location import DEFAULT_PATH
from wellkeeper_issuer.reports import Mode
from wellkeeper_issuer.settings import Settings
from wellkeeper_node import units
from wellkeeper_node.errors import ReloadError

_POLL_SECONDS: Final = 2.0
_WAITING: Final = "Waiting for nginx to load the changes. Press Enter to check now, Ctrl-C to continue later."
_LATER: Final = (
    "\nWellkeeper obtains the certificates once nginx has loaded the changes."
    " Run 'sudo wellkeeper setup' to see them again and to continue here."
)
_INTERRUPTED: Final = 130
_REHEARSAL: Final = "\nA test with the staging CA:"
_FAILED: Final = "Fix this. The daemon retries; 'wellkeeper setup' repeats the test."


def wait_and_renew(result: Result) -> None:
    """Wait for the user, then obtain the certificates; exit with 1 if one failed. Start the daemon in any case.

    At the end, list what doctor reports. A user who leaves before can continue with another setup; exit with 130 after
    Ctrl-C.
    """
    is_obtained, without, said = True, further.BEFORE_NGINX, list[str]()
    try:
        if _wait(result):
            without = further.OBTAINED
            is_obtained = _obtain(result, said)
        else:
            click.echo(_LATER)
    except KeyboardInterrupt:
        click.echo(_LATER)
        click.get_current_context().exit(_INTERRUPTED)
    finally:
        _start_daemon(result)
    further.show(further.find(result.written.path, (), "\n".join(said), without))
    if not is_obtained:
        click.get_current_context().exit(1)


def _obtain(result: Result, said: list[str]) -> bool:
    """Test with the staging CA, then obtain the certificates; return whether all succeeded. Adds to `said`."""
    settings = result.written.settings
    if settings.rehearsal.ca is not None and asyncio.run(_is_first(settings)) and not _rehearse(result, said):
        return False
    reports = run(Work(settings, settings.lineages(), Mode.RETRY))
    for line in results.to_lines(reports, Verbosity.BRIEF):
        click.echo(line)
        said.append(line)
    return not any(one.outcome in results.UNSUCCESSFUL for one in reports)


def _wait(result: Result) -> bool:
    """Return whether nginx has the changes; False when the user ends the input before."""
    if result.patch_path is not None:
        click.echo(_WAITING)
    known, is_asked = "", False
    while missing := asyncio.run(_missing(result.written.settings)):
        if missing != known or is_asked:
            click.echo(f"not yet  {missing}")
        known = missing
        is_asked = bool(select.select([sys.stdin], [], [], _POLL_SECONDS)[0])
        if is_asked and not sys.stdin.readline():
            return False
    return True


async def _missing(settings: Settings) -> str:
    """Return what nginx does not have yet, or ""."""
    found = await look_at_locations(settings)
    if causes := [why for why in found.values() if why]:
        return causes[0]
    try:
        plan = propose_changes(settings, settings.certificates, await read_nginx(settings))
    except ReloadError as error:
        return str(error)
    return f"{next(iter(plan.changes))} lacks some of the changes" if plan.patch else ""


async def _is_first(settings: Settings) -> bool:
    """Return whether a certificate was never obtained."""
    folders = build.certificates(settings)
    found = [await folders.installed(one.name) for one in settings.certificates]
    return any(one is None or one.certificate.is_self_signed for one in found)


def _rehearse(result: Result, said: list[str]) -> bool:
    """Rehearse with the staging CA; return whether every step succeeded."""
    from wellkeeper_issuer.commands.rehearse import rehearse_certificates

    click.echo(_REHEARSAL)
    rehearsed = rehearse_certificates(result.written.path, (), "auto", has_findings=False)
    said.extend(one.detail for one in rehearsed)
    if all(one.is_well for one in rehearsed):
        return True
    click.echo(_FAILED)
    return False


def _start_daemon(result: Result) -> None:
    started = units.start_all([units.DAEMON], result.written.path, DEFAULT_PATH)
    click.echo("\n".join(units.to_lines(started)))
