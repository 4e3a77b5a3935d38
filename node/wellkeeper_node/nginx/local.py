"""Test and reload the nginx of this node, and verify the reload.

That `nginx -t` and `nginx -s reload` exit with 0 proves nothing (a port in use, a changed zone); new workers do.
There is no event for that, so /proc is looked at every 20 ms. Design: docs/design/0003-install.md.
"""

import asyncio
import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiofiles

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node import process, rights
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Server, Tested
from wellkeeper_node.nginx import processes, servers
from wellkeeper_node.nginx.configuration import Configuration, parse, split_files
from wellkeeper_node.nginx.named import named_folders
from wellkeeper_node.nginx.processes import Process, Workers
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import with_reload

_log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.02
# 10 000 server blocks take 10 s to parse; a host name that does not resolve can take 30 s and more.
_COMMAND_TIMEOUT_SECONDS: Final = 120.0
# ngx_open_listening_sockets tries five times, half a second apart, before it gives up.
_BIND_SECONDS: Final = 2.5
_LEAST_REFUSAL_SECONDS: Final = 3.0
# An idle worker ends at once; one that still runs after this time finishes requests.
_SETTLE_SECONDS: Final = 0.2
# A worker that blocks (a slow disk) reads its shutdown message late.
_LEAVE_SECONDS: Final = 10.0
_CONFIGURATION_BYTES: Final = 64 * 1024 * 1024
_LOG_BYTES: Final = 256 * 1024
_MAX_WORDS: Final = 1500
_MAX_LINES: Final = 10
_SEVERE: Final = re.compile(r"\[(emerg|alert|crit|error)\]")
_NOTED: Final = re.compile(r"\[(emerg|alert|crit|error|warn)\]")


@dataclass(frozen=True, slots=True)
class Control:
    """The settings for running and reloading nginx.

    `command` must have the arguments of the running master (`-p`, `-c`, `-g`), or `-t` tests something else.
    Without `reload_command` the master gets SIGHUP. Without `error_log`, the file that the master writes to is read.
    """

    command: tuple[str, ...]
    pid_file: Path
    reload_command: tuple[str, ...] | None = None
    error_log: Path | None = None


@dataclass(frozen=True, slots=True)
class _LogPosition:
    path: Path
    inode: int
    size: int


class LocalNginx:
    """Implements `ports.Nginx` for an nginx whose processes are visible here."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock

    async def test(self) -> Tested:
        began = self._clock.monotonic()
        finished = await _run([*self._control.command, "-t"])
        passed = finished.exit_code == 0
        return Tested(passed, _words(finished.output, passed=passed), self._clock.monotonic() - began)

    async def reload(self, tested: Tested) -> int:
        """Implement `ports.Nginx.reload`.

        An old worker that crashes and is replaced at the same moment looks like a reload; the verify stage finds it.
        """
        master = processes.find_master(self._control.pid_file)
        before = processes.workers(master)
        position = _position(self._control.error_log or processes.error_log(master))
        await self._signal(master)
        limit = max(_LEAST_REFUSAL_SECONDS, 2 * tested.seconds + _BIND_SECONDS)
        now = await self._wait(master, before, limit)
        if not now.accepting - before.accepting:
            raise await self._refusal(now, master, position, limit)
        lingering = sorted(worker.pid for worker in now.accepting & before.accepting)
        if lingering:
            raise ReloadError(
                "nginx started new workers, but old ones still accept connections with the old certificates",
                f"processes {', '.join(map(str, lingering))}",
                "Check what these processes do, then restart nginx.",
            )
        return await self._finishing(master)

    async def finishing(self) -> int:
        """Implement `ports.Nginx.finishing`."""
        try:
            return len(processes.workers(processes.find_master(self._control.pid_file)).leaving)
        except ReloadError:
            return 0  # the reload that follows reports it

    async def servers(self) -> Sequence[Server]:
        """Implement `ports.Nginx.servers`."""
        return await asyncio.to_thread(servers.read_servers, await self.configuration())

    async def configuration(self) -> Configuration:
        """Return the configuration on disk. Raises ReloadError when nginx refuses it or it cannot be understood."""
        dump = await self._dump()
        try:
            found = await asyncio.to_thread(parse, dump)
        except ValueError as error:
            raise ReloadError("cannot read nginx's configuration ('nginx -T')", str(error)) from error
        for words in found.errors:
            _log.warning("cannot parse all of nginx's configuration: %s", words)
        return found

    async def mentions(self, path: str) -> bool:
        """Return True when the configuration on disk (`nginx -T`) contains the path; comments do not count."""
        lines = (line for line in (await self._dump()).splitlines() if path in line)
        return any(path in line.partition("#")[0] for line in lines)

    async def files(self) -> dict[str, str]:
        """Return the text of each file of the configuration on disk (`nginx -T`) by its path. Raises ReloadError."""
        return split_files(await self._dump())

    async def named(self, folders: Collection[str]) -> Mapping[str, str]:
        """Implement `ports.Nginx.named`."""
        dump = await self._dump()
        try:
            return await asyncio.to_thread(lambda: named_folders(parse(dump), folders))
        except ValueError as error:
            raise ReloadError("cannot read nginx's configuration ('nginx -T')", str(error)) from error

    async def _dump(self) -> str:
        finished = await _run([*self._control.command, "-T"], _CONFIGURATION_BYTES)
        if finished.exit_code != 0:
            words = _words(finished.output, passed=False)
            raise ReloadError("cannot read nginx's configuration ('nginx -T')", words, "Fix what it reports.")
        return finished.output

    async def _signal(self, master: Process) -> None:
        command = self._control.reload_command
        if command is None:
            processes.hang_up(master)
            return
        finished = await _run(command)
        if finished.exit_code != 0:
            raise ReloadError(
                f"cannot reload nginx: '{' '.join(command)}' failed with exit code {finished.exit_code}",
                _words(finished.output, passed=False),
                with_reload("Fix it, or correct nginx.reload_command in the settings."),
            )

    async def _wait(self, master: Process, before: Workers, limit: float) -> Workers:
        """Return the workers after the reload, or after the time limit."""
        began = self._clock.monotonic()
        while True:
            if not processes.is_running(master):
                raise ReloadError(
                    f"the nginx master (process {master.pid}) ended or was replaced during the reload",
                    remedy="Check nginx's error log and what restarts nginx, then run 'wellkeeper renew' again.",
                )
            now = processes.workers(master)
            has_new = bool(now.accepting - before.accepting)
            is_done = has_new and not now.accepting & before.accepting
            if is_done or self._clock.monotonic() - began > limit + (_LEAVE_SECONDS if has_new else 0):
                return now
            await self._clock.sleep(_POLL_SECONDS)

    async def _finishing(self, master: Process) -> int:
        began = self._clock.monotonic()
        while True:
            count = len(processes.workers(master).leaving)
            if not count or self._clock.monotonic() - began > _SETTLE_SECONDS:
                return count
            await self._clock.sleep(_POLL_SECONDS)

    async def _refusal(self, now: Workers, master: Process, position: _LogPosition | None, limit: float) -> ReloadError:
        tested = await self.test()
        found = await _logged(position, rf"{master.pid}#{master.pid}" if now.accepting else r"\d+#\d+")
        words = "; ".join(dict.fromkeys([*([] if tested.passed else [tested.words]), *found]))
        if not words:
            where = position.path if position else "nginx's error log (set nginx.error_log: its path is unknown)"
            words = f"no reason found; look for [emerg] lines in {where}"
        if now.accepting:
            return ReloadError(
                f"nginx did not load the new configuration within {limit:.1f} s and keeps the old certificates",
                words,
                "Fix it, then run 'wellkeeper renew' again.",
            )
        return ReloadError(
            "nginx has no workers left and serves nothing: its new workers ended at once",
            words,
            "Fix it, restart nginx ('systemctl restart nginx'), then run 'wellkeeper renew' again.",
        )


async def _run(argv: Sequence[str], output_bytes: int = _LOG_BYTES) -> process.Finished:
    try:
        return await process.run(argv, _COMMAND_TIMEOUT_SECONDS, output_bytes)
    except process.ProcessError as error:
        remedy = with_reload("Check nginx.command and nginx.reload_command in the settings.")
        raise ReloadError("cannot test or reload nginx", str(error), remedy) from error


def _words(output: str, *, passed: bool) -> str:
    """Return the lines that matter, without duplicates, up to a limit."""
    lines = [line.removeprefix("nginx: ") for line in map(one_line, output.splitlines()) if line]
    chosen = [line for line in lines if (_NOTED if passed else _SEVERE).search(line)]
    if not chosen and not passed:
        chosen = lines[-3:] or ["(no output)"]
    return one_line("; ".join(dict.fromkeys(chosen)), _MAX_WORDS)


def _position(path: Path | None) -> _LogPosition | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return _LogPosition(path, 0, 0)
    return _LogPosition(path, status.st_ino, status.st_size)


def _open_log(path: str, _flags: int) -> int:
    """Open it with the rights of the user who controls the directory: often nginx's workers."""
    with rights.of_path(Path(path)):
        return rights.open_file(Path(path), follows_link=True)


async def _logged(position: _LogPosition | None, process: str) -> list[str]:
    """Return what processes of this pattern logged since; a rotated or truncated log is read from its beginning."""
    if position is None:
        return []
    try:
        async with aiofiles.open(position.path, "rb", opener=_open_log) as file:
            now = os.fstat(file.fileno())
            is_same = now.st_ino == position.inode and now.st_size >= position.size
            await file.seek(position.size if is_same else 0)
            text = (await file.read(_LOG_BYTES)).decode(errors="replace")
    except (OSError, ValueError) as error:
        _log.warning("cannot read nginx's error log %s: %s", position.path, error)
        return []
    lines = (f"{level} {words}" for level, words in re.findall(rf"(\[(?:emerg|alert|crit)\]) {process}: (.*)", text))
    return list(dict.fromkeys(map(one_line, lines)))[:_MAX_LINES]
