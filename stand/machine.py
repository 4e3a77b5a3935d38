"""A Debian machine, booted with systemd from a tree that stays unchanged."""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from stand.issuer import Finished
from stand.processes import PROJECT, Process, StandError, find_program, temporary_folder

_BOOT_SECONDS: Final = 240.0
_COMMAND_SECONDS: Final = 240.0
_INTERRUPTED: Final = 130
_ENVIRONMENT: Final = (
    *("HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive"),
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)


class Machine:
    """`async with Machine(folder, tree) as machine`. `folder` keeps what the machine writes.

    With several trees, files of the first ones cover those of the others. Commands run with `umask`. It shares this
    thread's network, or has the one that `entering` enters (`stand.lan`). `options` are those of systemd-nspawn.
    """

    def __init__(
        self,
        folder: Path,
        *trees: Path,
        umask: str = "022",
        entering: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        self._name = f"wellkeeper-{secrets.token_hex(8)}"  # process IDs repeat in other namespaces
        self._folder = folder
        self._umask = umask
        layers = ":".join(map(str, trees))
        self._argv = (
            *entering,
            "unshare",
            "--mount",
            str(PROJECT / "stand/boot.sh"),
            self._name,
            layers,
            str(folder),
            *options,
        )
        self._process: Process
        self._init: int | None = None

    async def __aenter__(self) -> Self:
        await self.boot()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut_power()
        with contextlib.suppress(OSError):
            os.rmdir(f"/sys/fs/cgroup/{self._name}")  # noqa: PTH106 - brief

    async def boot(self) -> None:
        """Start the machine; returns when systemd has started all units."""
        await asyncio.to_thread(self._folder.mkdir, exist_ok=True)
        self._process = Process("systemd-nspawn", self._argv, self._folder / "console.log")
        await self._process.start(self._is_ready, _BOOT_SECONDS)

    async def cut_power(self) -> None:
        """End all processes of the machine at once; what it wrote stays."""
        if self._init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
            self._init = None
            await self._process.wait()
        await self._process.stop()

    @property
    def changed_files(self) -> Path:
        """Return the directory with all that the machine wrote: a tree for others once it is shut down."""
        return self._folder / "changed"

    @property
    def root(self) -> Path:
        """Return the root directory of the machine, as this process sees it."""
        return Path(f"/proc/{self._running()}/root")

    async def shut_down(self) -> None:
        await self.run("systemctl", "poweroff")
        await self._process.wait()
        self._init = None

    async def reboot(self) -> None:
        await self.shut_down()
        await self.boot()

    async def run(self, *argv: str, stdin: bytes = b"") -> Finished:
        """Run a command in the machine as root."""
        process = await asyncio.create_subprocess_exec(
            *self._entering(),
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_COMMAND_SECONDS):
            out, err = await process.communicate(stdin)
        return Finished(process.returncode or 0, out.decode(), err.decode())

    async def run_well(self, *argv: str, stdin: bytes = b"") -> str:
        """Return the output of a command. Raises StandError when it fails."""
        finished = await self.run(*argv, stdin=stdin)
        if finished.exit_code != 0:
            raise StandError(f"{' '.join(argv)}: {finished}")
        return finished.out

    async def shell(self, script: str) -> str:
        """Return the output of a shell script. Raises StandError when a command in it fails."""
        return await self.run_well("sh", "-euc", script)

    async def terminal(self, command: str, typed: str, *, typed_at: str = "", interrupted_at: str = "") -> str:
        """Return all that a terminal shows of a command, which finds `typed` in it. Raises StandError when it fails.

        With `typed_at`, type as soon as the terminal shows that: who asks for a secret drops what was typed before.
        With `interrupted_at`, press Ctrl-C as soon as the terminal shows that; the command must end with 130.
        """
        process = await asyncio.create_subprocess_exec(
            *self._entering(),
            *("script", "--quiet", "--return", "--command", command, "/dev/null"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        if process.stdin is None or process.stdout is None:
            raise StandError("the terminal has no pipes")
        keys = [(typed_at, typed), *([(interrupted_at, "\x03")] if interrupted_at else [])]
        screen = b""
        async with asyncio.timeout(_COMMAND_SECONDS):
            while True:
                while keys and keys[0][0].encode() in screen:
                    process.stdin.write(keys.pop(0)[1].encode())  # and stays open: its end would be Ctrl-D
                if not (part := await process.stdout.read(65536)):
                    break
                screen += part
        if await process.wait() != (_INTERRUPTED if interrupted_at else 0):
            raise StandError(f"{command}: {screen.decode()}")
        return screen.decode()

    async def write(self, path: str, content: str) -> None:
        await self.write_bytes(path, content.encode())

    async def write_bytes(self, path: str, content: bytes) -> None:
        await self.run_well("sh", "-euc", 'mkdir -p "$(dirname "$1")"; cat >"$1"', "sh", path, stdin=content)

    async def _is_ready(self) -> bool:
        self._init = self._init or _init_below(self._process.pid)
        if self._init is None:
            return False
        finished = await self.run("systemctl", "is-system-running")
        if finished.out.strip() == "degraded":
            raise StandError(f"units failed: {await self.run('systemctl', '--failed')}")
        return finished.out.strip() == "running"

    def _entering(self) -> tuple[str, ...]:
        # Mounts, names, IPC, network, processes and cgroup; root and working directory.
        namespaces = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
        shell = ("sh", "-c", f'umask {self._umask}; exec "$@"', "sh")
        return ("nsenter", "-t", str(self._running()), *namespaces, "env", "-i", *_ENVIRONMENT, *shell)

    def _running(self) -> int:
        """Return the process id of the machine's systemd."""
        if self._init is None:
            raise StandError("the machine is not running")
        return self._init


@contextlib.contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Yield a directory in memory: the upper layer of an overlay cannot be in another overlay."""
    with temporary_folder() as path:
        subprocess.run([find_program("mount"), "-t", "tmpfs", "-o", "mode=755", "machine", path], check=True)
        try:
            yield path
        finally:
            subprocess.run([find_program("umount"), "--recursive", path], check=True)


def _init_below(nspawn: int) -> int | None:
    """Return the process id of the machine's systemd; None until it runs."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
    return None
