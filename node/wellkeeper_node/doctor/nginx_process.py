"""Check the running nginx: its master and workers, the right to signal it, and whether it has loaded its files."""

import os
import shutil
import time
from datetime import UTC, datetime
from typing import Final

from wellkeeper_client import services
from wellkeeper_node.doctor import nginx_agent
from wellkeeper_node.doctor.of_errors import NEEDS_ROOT, of_error
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx import masters, processes, refusals
from wellkeeper_node.nginx.configuration import Configuration
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.disk import Disk
from wellkeeper_node.nginx.processes import Process
from wellkeeper_node.wording import counted, format_exact_time

PROCESS: Final = "nginx-process"
SIGNAL: Final = "nginx-signal"
TEST: Final = "nginx-test"
LOADED: Final = "nginx-loaded"
NOT_FOUND: Final = "nginx was not found"
_SHOWN: Final = 3
# /proc counts in hundredths of a second; a start may seem that much earlier.
_GRANULARITY_SECONDS: Final = 0.02
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


async def check_process(control: Control, most_finishing: int) -> list[Finding]:
    """Return `nginx-process`: the pid file names a master, which has workers, and few of them finish requests.

    nginx is not reloaded while more than `most_finishing` workers do.
    """
    if control.agent is not None:
        return await nginx_agent.check_process(PROCESS, control.agent, most_finishing)
    try:
        master = masters.find_master(control.pid_file, control.command)
        found = processes.workers(master)
    except ReloadError as error:
        return [of_error(PROCESS, error)]
    if not found.accepting:
        cause = f"nginx (process {master.pid}) has no workers, so it serves nothing"
        return [Finding(PROCESS, Verdict.FAIL, "", cause, "Look at its error log, then restart nginx.")]
    if len(found.leaving) > most_finishing:
        cause = f"{len(found.leaving)} old workers of nginx still finish requests, so it is not reloaded"
        fix = f"Add 'worker_shutdown_timeout 1h;' at the top of nginx.conf, then {services.clause('restart', 'nginx')}."
        return [Finding(PROCESS, Verdict.FAIL, "", cause, fix)]
    fact = f"nginx runs as process {master.pid} with {counted(len(found.accepting), 'worker')}"
    return [Finding(PROCESS, Verdict.OK, "", fact)]


async def check_signal(control: Control) -> list[Finding]:
    """Return `nginx-signal`: this user may signal the master, or the command that reloads nginx is installed."""
    if control.agent is not None:
        return nginx_agent.reloads(SIGNAL)
    if control.reload_command is not None:
        program = control.reload_command[0]
        if shutil.which(program) is not None:
            return [Finding(SIGNAL, Verdict.OK, "", f"{program!r} reloads nginx")]
        fix = "Install it, or correct nginx.reload_command, then run 'wellkeeper reload' if a daemon runs."
        return [Finding(SIGNAL, Verdict.FAIL, "", f"{program!r}, which reloads nginx, is not installed", fix)]
    try:
        master = masters.find_master(control.pid_file, control.command)
    except ReloadError:
        return [Finding(SIGNAL, Verdict.SKIPPED, "", NOT_FOUND)]
    try:
        processes.hang_up(master, 0)
    except ReloadError as error:
        return [of_error(SIGNAL, error)]
    return [Finding(SIGNAL, Verdict.OK, "", f"this user may signal nginx (process {master.pid})")]


async def check_test(tested: Configuration | ReloadError, *, is_root: bool) -> list[Finding]:
    """Return `nginx-test`: nginx accepts its configuration on disk; with its words and the place that they name.

    `tested` is the result of `nginx -T`, or what was read without it.
    """
    if isinstance(tested, ReloadError):
        if "Permission denied" in tested.why and not is_root:
            return [Finding(TEST, Verdict.SKIPPED, "", NEEDS_ROOT)]
        return [of_error(TEST, tested, place=refusals.place_of(tested.why))]
    found = [
        Finding(TEST, Verdict.WARN, "", words, "Fix what nginx reports.", refusals.place_of(words))
        for words in tested.warnings[:_SHOWN]
    ]
    unread = [
        Finding(TEST, Verdict.WARN, "", f"cannot parse all of nginx's configuration: {words}", "Check that line.")
        for words in tested.errors[:_SHOWN]
    ]
    files = counted(len(tested.files), "file")
    fact = f"nginx accepts its configuration ({files})"
    if not tested.is_tested:
        fact = f"nginx's configuration can be read ({files}); only a reload can test it"
    return [*found, *unread] or [Finding(TEST, Verdict.OK, "", fact)]


async def check_loaded(configuration: Configuration, control: Control) -> list[Finding]:
    """Return `nginx-loaded`: no file of the configuration has changed since nginx loaded it.

    A file that was added or removed changes a directory that `include` searches.
    """
    if control.agent is not None:
        return nginx_agent.not_seen(LOADED)
    try:
        master = masters.find_master(control.pid_file, control.command)
        workers = processes.workers(master).accepting
    except ReloadError:
        return [Finding(LOADED, Verdict.SKIPPED, "", NOT_FOUND)]
    # A worker that crashed was started again later than the others.
    loaded = min(_started(one) for one in workers or (master,))
    paths = (*configuration.files, *(f"{folder}/" for folder in configuration.folders))
    changed = {path: at for path in paths if (at := _changed(path, configuration.disk)) > loaded + _GRANULARITY_SECONDS}
    fact = f"nginx loaded its configuration at {_format(loaded)}"
    if not changed:
        return [Finding(LOADED, Verdict.OK, "", f"{fact}, and no file has changed since")]
    shown = ", ".join(f"{file} at {_format(changed[file])}" for file in list(changed)[:_SHOWN])
    more = f" and {counted(len(changed) - _SHOWN, 'more file')}" if len(changed) > _SHOWN else ""
    command = control.reload_command
    fix = f"Run '{' '.join(command)}'." if command else services.sentence("reload", "nginx")
    return [Finding(LOADED, Verdict.WARN, "", f"{fact}; since then changed: {shown}{more}", fix)]


def _started(process: Process) -> float:
    """Return the UNIX time at which the process started."""
    booted_at = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted_at + process.started_at / _TICKS_PER_SECOND


def _changed(path: str, disk: Disk) -> float:
    """Return the UNIX time of the last change of the file or directory, or of the link to it; 0 if unknown.

    A file that was copied with its old date has changed when its inode has (ctime).
    """
    try:
        found = (disk.stat(path), disk.stat(path, follows=False))
    except OSError:
        return 0.0
    return max(max(one.st_mtime, one.st_ctime) for one in found)


def _format(at: float) -> str:
    return format_exact_time(datetime.fromtimestamp(at, UTC))
