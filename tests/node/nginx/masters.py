"""A process that looks like an nginx master in /proc, with workers that a test starts."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.masters import find_master
from wellkeeper_node.nginx.processes import Process, Workers, workers

_MASTER: Final = """
while read -r title; do
    (exec -a "$1: $title" sleep 600) &
done
"""
# Angie adds its version, and puts its words into brackets. PHP has a master, too.
_TITLES: Final = {
    "nginx": "nginx: master process nginx -c {conf}",
    "angie": "angie: master process v1.10.2 #1 [/usr/sbin/angie -c {conf}]",
    "php-fpm": "php-fpm: master process ({conf})",
}
# What runs under these titles.
PROGRAM: Final = ("bash",)
ACCEPTING: Final = "worker process"
LEAVING: Final = "worker process is shutting down"


@dataclass(frozen=True, slots=True)
class FakeMaster:
    """A fake master: `pid_file` names the process; `reload_command` starts another accepting worker and stops none."""

    process: Process
    pid_file: Path
    fifo: Path

    @property
    def command(self) -> tuple[str, ...]:
        """Return nginx with the arguments of this master."""
        return ("nginx", "-c", str(self.pid_file.with_suffix(".conf")))

    @property
    def reload_command(self) -> tuple[str, ...]:
        return ("sh", "-c", f"echo '{ACCEPTING}' >{self.fifo}")

    async def start_worker(self, title: str) -> None:
        """Start a worker and wait until /proc shows it."""
        before = _all(workers(self.process))
        await asyncio.to_thread(self.fifo.write_text, f"{title}\n")
        while _all(workers(self.process)) == before:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


@asynccontextmanager
async def fake_master(folder: Path, program: str = "nginx") -> AsyncIterator[FakeMaster]:
    """Yield a master without workers; end all its processes with the block."""
    fifo, pid_file = folder / "commands", folder / "nginx.pid"
    await asyncio.to_thread(_prepare, fifo, folder / "master.sh")
    title = _TITLES[program].format(conf=pid_file.with_suffix(".conf"))
    command = f"exec -a '{title}' bash {folder}/master.sh {program} <> {fifo}"
    started = await asyncio.create_subprocess_exec(
        "bash", "-c", command, stderr=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        await asyncio.to_thread(pid_file.write_text, str(started.pid))
        yield FakeMaster(await _master(pid_file), pid_file, fifo)
    finally:
        killing = await asyncio.create_subprocess_exec("pkill", "-KILL", "-s", str(started.pid))
        await killing.wait()
        await started.wait()


def _prepare(fifo: Path, script: Path) -> None:
    os.mkfifo(fifo)
    script.write_text(_MASTER)


async def _master(pid_file: Path) -> Process:
    """Wait until the shell has changed its title."""
    while True:
        try:
            return find_master(pid_file, PROGRAM)
        except ReloadError:  # it has another title until then
            await asyncio.sleep(0.01)


def _all(found: Workers) -> frozenset[Process]:
    return found.accepting | found.leaving
