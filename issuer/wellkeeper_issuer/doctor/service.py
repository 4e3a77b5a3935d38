"""Check that something renews: a daemon, a timer or cron; the daemon's version and settings, and the rehearsals."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from wellkeeper_client import services
from wellkeeper_issuer.doctor.cron_jobs import jobs_of, scripts_of
from wellkeeper_issuer.outside.host.cron import CronLine
from wellkeeper_issuer.outside.host.unit_states import Properties
from wellkeeper_issuer.outside.state.lock import DAEMON
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.wording import format_time

SERVICE: Final = "service"
DAEMON_STATE: Final = "daemon"
REHEARSAL: Final = "rehearsal"
UNIT: Final = "wellkeeper.service"
PASS_UNIT: Final = "wellkeeper-renew.service"
TIMER: Final = "wellkeeper-renew.timer"
# A daemon rehearses a share of the certificates each hour.
_SLACK: Final = timedelta(days=1)


async def check_service(
    owner: tuple[int, str] | None, units: Mapping[str, Properties], cron: Iterable[CronLine]
) -> list[Finding]:
    """Return `service`: a daemon, a timer or a cron job renews certificates, and will after a restart of the host.

    `owner` is the process that owns the state; without systemd there are no `units`.
    """
    unit, timer = units.get(UNIT, {}), units.get(TIMER, {})
    if owner is not None and owner[1] == DAEMON:
        return [_at_boot(f"a daemon runs (pid {owner[0]})", UNIT, unit)]
    if unit.get("ActiveState") == "failed":
        cause, fix = f"{UNIT} failed ({unit.get('Result') or 'unknown'})", "Run 'journalctl -u wellkeeper -n 20'."
        return [Finding(SERVICE, Verdict.FAIL, "", cause, fix)]
    if timer.get("ActiveState") == "active":
        return [_at_boot(f"{TIMER} is active", TIMER, timer)]
    if by_cron := _by_cron(tuple(cron)):
        return [by_cron]
    fix = services.sentence("enable --now", "wellkeeper", has_systemd=bool(unit))
    return [Finding(SERVICE, Verdict.FAIL, "", "nothing renews certificates: no daemon, timer or cron job", fix)]


def _by_cron(cron: Sequence[CronLine]) -> Finding | None:
    for job in jobs_of("wellkeeper", cron):
        # The group of commands has no options with values.
        if next((word for word in job.arguments if not word.startswith("-")), "") == "renew":
            return Finding(SERVICE, Verdict.OK, "", f"cron runs '{job}' ({job.place})")
    for script in scripts_of("wellkeeper", cron):
        cause = f"cron runs {script.program}; cannot predict whether that renews certificates"
        return Finding(SERVICE, Verdict.WARN, "", cause, "Run 'wellkeeper renew' with cron instead.", script.place)
    return None


async def check_daemon(answer: Mapping[str, Any] | None, digest: str | None, build: str) -> list[Finding]:
    """Return `daemon`: it has read the present settings, and runs the installed program.

    `answer` is its status, None if none answers. `digest` is that of the settings' files, None for broken ones.
    """
    if answer is None:
        return [Finding(DAEMON_STATE, Verdict.SKIPPED, "", "no daemon answers")]
    found = []
    if digest is not None and answer.get("settings_digest") != digest:
        cause = "the settings changed since the daemon read them"
        found.append(Finding(DAEMON_STATE, Verdict.WARN, "", cause, "Run 'wellkeeper reload'."))
    if answer.get("build") != build:
        cause = "the installed program changed since the daemon was started"
        found.append(Finding(DAEMON_STATE, Verdict.WARN, "", cause, services.sentence("restart", "wellkeeper")))
    fact = f"the daemon (pid {answer.get('pid')}) has the current settings and version"
    return found or [Finding(DAEMON_STATE, Verdict.OK, "", fact)]


async def check_rehearsals(
    names: Sequence[str],
    rehearsals: Mapping[str, Rehearsal],
    valid_from: Mapping[str, datetime],
    now: datetime,
    every: timedelta | None,
) -> list[Finding]:
    """Return `rehearsal`: the last one of each certificate succeeded, and is not older than the settings want.

    `every` is their interval, None for never. `valid_from` are the dates of the installed certificates: a renewal after
    a rehearsal that failed proves more.
    """
    return [_rehearsed(name, rehearsals.get(name), valid_from.get(name), now, every) for name in names]


def _rehearsed(
    name: str, last: Rehearsal | None, valid_from: datetime | None, now: datetime, every: timedelta | None
) -> Finding:
    fix = f"Run 'wellkeeper rehearse {name}'."
    if last is None:
        if every is None:
            return Finding(REHEARSAL, Verdict.SKIPPED, name, "never rehearsed; 'wellkeeper rehearse' tries a renewal")
        return Finding(REHEARSAL, Verdict.WARN, name, "never rehearsed, although rehearsal.every_days is set", fix)
    at = format_time(last.at)
    if not last.is_well and not (valid_from and valid_from > last.at):
        cause = f"the rehearsal at {at} failed: {last.detail.rstrip('.')}"
        return Finding(REHEARSAL, Verdict.FAIL, name, cause, f"Fix it, then run 'wellkeeper rehearse {name}'.")
    if every is not None and now - last.at > 2 * every + _SLACK:
        return Finding(REHEARSAL, Verdict.WARN, name, f"the last rehearsal was at {at}, long ago", fix)
    if not last.is_well:
        return Finding(REHEARSAL, Verdict.OK, name, f"renewed since the rehearsal at {at} failed")
    return Finding(REHEARSAL, Verdict.OK, name, f"rehearsed at {at}")


def _at_boot(fact: str, unit: str, properties: Properties) -> Finding:
    if properties.get("UnitFileState") == "disabled":
        cause = f"{fact}, but {unit} does not start with the host"
        return Finding(SERVICE, Verdict.WARN, "", cause, f"Run 'systemctl enable {unit}'.")
    return Finding(SERVICE, Verdict.OK, "", fact)
