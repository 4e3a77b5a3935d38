"""Make the master reload, and verify it by its workers.

That `nginx -t` and `nginx -s reload` exit with 0 proves nothing (a port in use, a changed zone); new workers do.
There is no event for that, so /proc is looked at every 5 ms. Design: docs/design/0003-install.md.
"""

import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_client import services
from wellkeeper_node import process
from wellkeeper_node.errors import EndedError, RefusedError, ReloadError
from wellkeeper_node.nginx import masters, processes, refusals
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.error_log import LONGEST_BYTES, LogPosition, logged, position
from wellkeeper_node.nginx.processes import Process, Workers
from wellkeeper_node.nginx.said import words_of
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import with_reload

_POLL_SECONDS: Final = 0.005
# 10 000 server blocks take 10 s to parse; a host name that does not resolve can take 30 s and more.
_COMMAND_TIMEOUT_SECONDS: Final = 120.0
# ngx_open_listening_sockets tries five times, half a second apart, before it gives up.
BIND_SECONDS: Final = 2.5
LEAST_REFUSAL_SECONDS: Final = 3.0
# An idle worker ends at once; one that still runs after this time finishes requests.
_SETTLE_SECONDS: Final = 0.2
# A worker that blocks (a slow disk) reads its shutdown message late.
_LEAVE_SECONDS: Final = 10.0
_LOG_POLL_SECONDS: Final = 0.2
_CHECK_COMMANDS: Final = with_reload("Check nginx.command and nginx.reload_command in the settings.")

Explain = Callable[[], Awaitable[str]]


async def run(argv: Sequence[str], output_bytes: int = LONGEST_BYTES) -> process.Finished:
    """Run nginx, or what reloads it. Raises ReloadError."""
    try:
        return await process.run(argv, _COMMAND_TIMEOUT_SECONDS, output_bytes)
    except process.ProcessError as error:
        raise ReloadError("cannot test or reload nginx", str(error), _CHECK_COMMANDS) from error


def check_program(program: str) -> None:
    """Raise ReloadError when there is no such program."""
    if shutil.which(program) is None:
        raise ReloadError("cannot test or reload nginx", process.missing(program), _CHECK_COMMANDS)


@dataclass(frozen=True, slots=True)
class Reloads:
    """Reloads of an nginx whose processes are visible here."""

    control: Control
    clock: Clock

    def master(self) -> Process:
        """Return the running master. Raises ReloadError."""
        return masters.find_master(self.control.pid_file, self.control.command)

    def prove(self) -> None:
        """Raise ReloadError when the master does not run, or could not be asked to reload now."""
        master = self.master()
        if self.control.reload_command is None:
            processes.hang_up(master, 0)
        else:
            check_program(self.control.reload_command[0])

    async def reload(self, limit: float, explain: Explain, least_with_log: float = 0.0) -> int:
        """Implement `ports.Nginx.reload`: the refusal is certain after the time limit, or if nginx logged one.

        A log that can be read would show a refusal, so the time limit is `least_with_log` at least. `explain` returns
        more words of nginx. An old worker that crashes and is replaced at the same moment looks like
        a reload; the verify stage finds it.
        """
        master = self.master()
        before = processes.workers(master)
        since = position(self.control.error_log or processes.error_log(master))
        readable = since if await logged(since, _logger(master)) is not None else None
        if readable is not None and readable.inode:
            limit = max(limit, least_with_log)
        await self._signal(master)
        began = self.clock.monotonic()
        now = await self._wait(master, before, limit, readable)
        if not now.accepting - before.accepting:
            seconds, said = self.clock.monotonic() - began, await explain()
            # On a busy machine, the reload may have come in the meantime.
            now = await self._wait(master, before, 0, None)
            if not now.accepting - before.accepting:
                raise await _refusal(now, master, since, seconds, said)
        lingering = sorted(worker.pid for worker in now.accepting & before.accepting)
        if lingering:
            raise ReloadError(
                "nginx started new workers, but old ones still accept connections with the old certificates",
                f"processes {', '.join(map(str, lingering))}",
                "Check what these processes do, then restart nginx.",
            )
        return await self._finishing(master)

    def finishing(self) -> int:
        """Implement `ports.Nginx.finishing`."""
        try:
            return len(processes.workers(self.master()).leaving)
        except ReloadError:
            return 0  # the reload that follows reports it

    async def _signal(self, master: Process) -> None:
        command = self.control.reload_command
        if command is None:
            processes.hang_up(master)
            return
        finished = await run(command)
        if finished.exit_code != 0:
            raise ReloadError(
                f"cannot reload nginx: '{' '.join(command)}' failed with exit code {finished.exit_code}",
                words_of(finished.output, passed=False),
                with_reload("Fix it, or correct nginx.reload_command in the settings."),
            )

    async def _wait(self, master: Process, before: Workers, limit: float, since: LogPosition | None) -> Workers:
        """Return the workers after the reload, after the time limit, or soon after nginx logged that it refuses."""
        began = looked_at = self.clock.monotonic()
        while True:
            if not processes.is_running(master):
                raise EndedError(
                    f"the nginx master (process {master.pid}) ended or was replaced during the reload",
                    remedy="Check nginx's error log and what restarts nginx, then run 'wellkeeper renew' again.",
                )
            now, at = processes.workers(master), self.clock.monotonic()
            has_new = bool(now.accepting - before.accepting)
            is_done = has_new and not now.accepting & before.accepting
            if is_done or at - began > limit + (_LEAVE_SECONDS if has_new else 0):
                return now
            if at - looked_at > _LOG_POLL_SECONDS:
                looked_at = at
                # It may still succeed if a port becomes free in time.
                if await logged(since, _logger(master)):
                    limit = min(limit, at - began + LEAST_REFUSAL_SECONDS)
                    since = None
            await self.clock.sleep(_POLL_SECONDS)

    async def _finishing(self, master: Process) -> int:
        began = self.clock.monotonic()
        while True:
            count = len(processes.workers(master).leaving)
            if not count or self.clock.monotonic() - began > _SETTLE_SECONDS:
                return count
            await self.clock.sleep(_POLL_SECONDS)


async def _refusal(now: Workers, master: Process, since: LogPosition | None, seconds: float, said: str) -> ReloadError:
    found = await logged(since, _logger(master) if now.accepting else r"\d+#\d+")
    words = "; ".join(dict.fromkeys([*([said] if said else []), *(found or ())]))
    if not words:
        where = since.path if since else "nginx's error log (set nginx.error_log: its path is unknown)"
        words = f"no reason found; look for [emerg] lines in {where}"
    if now.accepting:
        return RefusedError(
            f"nginx did not load the new configuration within {seconds:.1f} s and keeps the old certificates",
            words,
            refusals.remedy_of_keys(words, processes.ids_of(master)),
        )
    return EndedError(
        "nginx has no workers left and serves nothing: its new workers ended at once",
        words,
        f"Fix it, {services.clause('restart', 'nginx')}, then run 'wellkeeper renew' again.",
    )


def _logger(master: Process) -> str:
    """Return the process that the master's lines in the log name: with the id that it has in its own PID namespace."""
    pid = (master.pid, *processes.namespace_pids(master.pid))[-1]
    return f"{pid}#{pid}"
