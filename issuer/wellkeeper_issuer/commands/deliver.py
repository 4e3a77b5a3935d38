"""deliver: install, deliver and prove a certificate that another ACME client obtained, also as its deploy hook."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.check_now import ServedNow
from wellkeeper_issuer.assembly.node_statuses import read_node_statuses
from wellkeeper_issuer.commands import external_table, one_shot
from wellkeeper_issuer.commands.delivered_nodes import Nodes, await_nodes
from wellkeeper_issuer.commands.terminal import interrupts, options, results
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import BusyError, SettingsError
from wellkeeper_issuer.external import check_pair, make_attempt
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.external_requests import to_request
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node import rights
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.certificates import reading
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Certificate, KeyAlgorithm, Pair
from wellkeeper_node.wording import format_exact_time

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
# What a pass has not looked up just now.
_LOOKED_UP: Final = frozenset({Outcome.UNCHANGED, Outcome.NOT_SERVED_YET})
# How long to wait for another command that owns the state, such as a timer's renewal.
_BUSY_SECONDS: Final = 60.0
_BUSY_PAUSE_SECONDS: Final = 0.5
_BOTH: Final = "To have both, RSA and ECDSA, give the {kind} one its own name, such as {name}-{suffix}."


@dataclass(frozen=True, slots=True)
class _Given:
    """The pair that was given, and its leaf."""

    name: str
    pair: Pair
    certificate: Certificate


@click.command()
@options.name_argument
@click.option("--chain", type=_FILE, required=True, help="PEM file: the certificate first, then the intermediate ones.")
@click.option("--key", type=_FILE, required=True, help="PEM file with the certificate's key.")
@click.option("--force", is_flag=True, help="Install it even if the installed one is newer.")
@options.config_option
@options.json_option
def deliver(name: str, config: Path | None, as_json: bool, **options_given: Any) -> None:  # noqa: ANN401
    """Install the certificate NAME that another ACME client obtained, and prove that nginx serves it, on all nodes.

    The first time, NAME is added to the settings with source = "external": it is never ordered here. Delivering what is
    already installed changes nothing, so deploy hooks may repeat it.

    Exit status: 0 success (or installed and not served yet), 1 it failed or waits, 2 usage or settings.
    """
    options.refuse_standbys(config)
    path = settings_path(config)
    given = _read(name, options_given["chain"], options_given["key"])
    drop_in = external_table.prepare(path, name, given.certificate)
    report = interrupts.run(_deliver(path, given, drop_in, is_forced=options_given["force"]))
    settings, has_failed = read_settings(path), report.outcome in results.UNSUCCESSFUL
    is_waiting = bool(settings.fleet.listen) and not has_failed
    nodes = interrupts.run(_await_nodes(settings, name)) if is_waiting else Nodes()
    if as_json:
        found = one_shot.to_json(report, choose(settings, [name])[0])
        written = str(drop_in.path) if drop_in else None
        print_json({"drop_in": written, "certificate": found, "nodes": nodes.to_json()})
    else:
        click.echo("\n".join(filter(None, (_to_text(report), nodes.to_text()))))
    if has_failed:
        click.get_current_context().exit(1)


def _read(name: str, chain: Path, key: Path) -> _Given:
    chain_pem = reading.normalise_pem(_content(chain))
    pair = Pair(reading.normalise_pem(_content(key)), chain_pem)
    return _Given(name, pair, check_pair(pair, SystemClock().now()))


def _content(path: Path) -> bytes:
    try:
        return rights.read_file(path, follows_link=True)
    except OSError as error:
        raise SettingsError(f"cannot read {path}", error.strerror or str(error), remedies.of_reading(error)) from error
    except ValueError as error:
        raise SettingsError(f"cannot read {path}", str(error)) from error


async def _deliver(path: Path, given: _Given, drop_in: external_table.DropIn | None, *, is_forced: bool) -> Report:
    settings = read_settings(path)
    live = await build.certificates(settings).read_pair(given.name)
    leaf = reading.read_certificate(live.chain_pem) if live else None
    if leaf is not None and not leaf.is_self_signed:
        _compare(leaf, given, is_forced=is_forced)
    if drop_in is not None:
        drop_in.write()
        settings = read_settings(path)
    await _have_read(path, settings)
    lineage = choose(settings, [given.name])[0]
    is_new = live is None or live.chain_pem != given.pair.chain_pem
    report = await _patiently(settings, lineage, given, is_new=is_new)
    return await _proven(settings, lineage, given, report) if report.outcome in _LOOKED_UP else report


def _compare(leaf: Certificate, given: _Given, *, is_forced: bool) -> None:
    """Raise SettingsError if the installed certificate is newer; note on standard error another kind of key."""
    former, now = leaf.key_algorithm, given.certificate.key_algorithm
    others = _BOTH.format(name=given.name, suffix="ecc" if now is KeyAlgorithm.ECDSA else "rsa", kind=now)
    if leaf.not_before > given.certificate.not_before and not is_forced:
        raise SettingsError(
            f"cannot deliver certificate {given.name}; nothing was changed",
            f"the installed one ({former}) is newer: it is valid from {format_exact_time(leaf.not_before)}, the given"
            f" one ({now}) from {format_exact_time(given.certificate.not_before)}",
            "Give the newest one, or add --force to go back." if now == former else others,
        )
    if now != former:
        click.echo(f"note: a certificate with an {now} key replaces one with an {former} key. {others}", err=True)


async def _have_read(path: Path, settings: Settings) -> None:
    """Have the daemon read the settings if they changed, also by hand or in a run that was killed."""
    status = await remote.ask(settings, {"command": "status"})
    if status is not None and status.get("settings_digest") != read_sources(path).digest:
        await remote.ask(settings, {"command": "reload"})


async def _patiently(settings: Settings, lineage: Lineage, given: _Given, *, is_new: bool) -> Report:
    """Record the pair and run a pass on it, once no other command owns the state any more. Raises BusyError."""
    clock = SystemClock()
    until, is_recorded = clock.monotonic() + _BUSY_SECONDS, not is_new
    while True:
        try:
            if not is_recorded:
                await _record(settings, given)
                is_recorded = True
            return (await one_shot.run_now(one_shot.Work(settings, [lineage], Mode.RETRY)))[0]
        except BusyError:
            if clock.monotonic() >= until:
                raise
            await asyncio.sleep(_BUSY_PAUSE_SECONDS)


async def _record(settings: Settings, given: _Given) -> None:
    """Record the pair, so that a pass installs it: in the daemon, if one runs."""
    if await remote.ask(settings, to_request(given.name, given.pair)) is not None:
        return
    async with build.owned_state(settings, "deliver") as (state, _):
        await state.attempts.record_attempt(make_attempt(given.name, given.pair))


async def _await_nodes(settings: Settings, name: str) -> Nodes:
    return await await_nodes(name, lambda: read_node_statuses(settings), SystemClock())


def _to_text(report: Report) -> str:
    return f"{report.lineage}: {report.reason}" if report.outcome is Outcome.UNCHANGED else results.to_text(report)


async def _proven(settings: Settings, lineage: Lineage, given: _Given, report: Report) -> Report:
    """Return the report with what nginx serves now: a daemon may have read its configuration some seconds ago."""
    installed = await build.certificates(settings).installed(lineage.name)
    if installed is None or installed.certificate.fingerprint_sha256 != given.certificate.fingerprint_sha256:
        what, remedy = f"certificate {lineage.name} was not installed", "Deliver it again."
        return replace(report, outcome=Outcome.FAILED, error=InstallError(what, report.reason, remedy))
    now = ServedNow(settings)
    found = await now.failures([lineage])
    if report.outcome is Outcome.NOT_SERVED_YET:
        return report if found else replace(report, outcome=Outcome.SERVED, detail="")
    if found:
        return replace(report, outcome=Outcome.FAILED, error=found[lineage.name])
    served = await now.served(lineage, None)
    return replace(report, reason=f"already installed{', and nginx serves it' if served.is_served else ''}")
