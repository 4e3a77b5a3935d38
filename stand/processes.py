"""Run real processes, each in its own process group and with a log, from readiness to the end.

After an error, a cancellation or Ctrl-C, too, leaving `async with` ends the process: TERM first, and KILL for the whole
group after twenty seconds. Processes are never looked up by name.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

PROJECT: Final = Path(__file__).resolve().parent.parent
# The directory of our own programs, beside the interpreter.
PROGRAMS: Final = Path(sys.executable).parent

STOP_SECONDS: Final = 20.0
READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.01
# With these, coverage measures our programs, too.
_KEPT: Final = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
# Debian's nginx is in a directory that is not in a normal user's PATH.
_SEARCH_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

Ready = Callable[[], Awaitable[bool]]


class StandError(Exception):
    """A process of the stand failed; the text has its name and the last lines of its log."""


class Process:
    """One process; call `start` once and `stop` always.

    Its environment has only PATH and the given variables, so that tests do not depend on the user's environment. (nginx
    reads a variable NGINX, and HTTP clients read proxy settings.)
    """

    def __init__(self, name: str, argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._environment = {"PATH": search_path(), "LC_ALL": "C.UTF-8", **kept, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def return_code(self) -> int | None:
        """None while it runs; negative after a signal."""
        return self._running().returncode

    async def start(self, is_ready: Ready, timeout_seconds: float = READY_SECONDS) -> None:
        """Returns when `is_ready` says so; raises StandError, with nothing left running, if it ends or is late."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._until_ready(self._process, is_ready)
        except TimeoutError as error:
            await self.stop()
            raise StandError(f"{self.name} is not ready after {timeout_seconds:g} s\n{self.tail()}") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """End the process and its whole group. Idempotent; may be called without a start."""
        process = self._process
        if process is None:
            return
        try:
            if process.returncode is None:
                self.signal(signal.SIGTERM)
            async with asyncio.timeout(timeout_seconds):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            # Also after a second cancellation, and for children that outlived the process.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, not to its group."""
        with contextlib.suppress(ProcessLookupError):
            self._running().send_signal(number)

    async def wait(self) -> int:
        return await self._running().wait()

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log, for messages."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (its log is empty)"

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise StandError(f"{self.name} was not started")
        return self._process

    async def _until_ready(self, process: asyncio.subprocess.Process, is_ready: Ready) -> None:
        while True:
            if process.returncode is not None:
                raise StandError(f"{self.name} ended with {process.returncode}: {' '.join(self.argv)}\n{self.tail()}")
            if await is_ready():
                return
            await asyncio.sleep(_POLL_SECONDS)


class Running(ABC):
    """A process in a context: entering starts it and waits until it is ready; leaving ends it."""

    process: Process

    @abstractmethod
    async def is_ready(self) -> bool:
        """Return true once the process is ready; called repeatedly until then."""

    async def __aenter__(self) -> Self:
        await self.process.start(self.is_ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.process.stop()


def search_path() -> str:
    """Return PATH with the directories of administrators' programs."""
    return f"{os.environ.get('PATH', '')}:{_SEARCH_PATH}".strip(":")


def find_program(name: str, *folders: Path) -> str:
    """Return the absolute path of a program, from these directories or else from PATH; raises StandError."""
    found = shutil.which(name, path=":".join([*map(str, folders), search_path()]))
    if found is None:
        raise StandError(f"there is no program {name!r}; run scripts/install")
    return found


async def accepts(host: str, port: int) -> bool:
    """Return true if a process accepts connections there."""
    return await _opens(asyncio.open_connection(host, port))


async def accepts_unix(path: Path) -> bool:
    """Return true if a process accepts connections on the unix socket."""
    return await _opens(asyncio.open_unix_connection(path))


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a directory with a path short enough for unix sockets, accessible to nginx's workers, and remove it."""
    parent = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="wk-", dir=parent if len(parent) < 30 else "/tmp"))  # noqa: S108
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def _opens(connecting: Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> bool:
    try:
        _, writer = await connecting
    except OSError:
        return False
    writer.transport.abort()
    return True
