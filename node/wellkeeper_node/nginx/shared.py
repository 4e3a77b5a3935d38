"""Reload an nginx of another container whose processes are visible here, without its binary.

Nothing can run `nginx -t` here. A reload is the test, because a refused one changes nothing. The configuration is read
through the root of nginx's master. Design: docs/design/0028-reaching-nginx.md.
"""

import asyncio
from typing import Final

from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx import processes
from wellkeeper_node.nginx.configuration import Sources, read
from wellkeeper_node.nginx.configured import ConfiguredNginx
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.main_file import main_file
from wellkeeper_node.nginx.processes import Process
from wellkeeper_node.nginx.reloading import BIND_SECONDS, Reloads
from wellkeeper_node.nginx.root_disk import RootDisk
from wellkeeper_node.ports import Clock

# 10 000 server blocks take 10 s to parse on an idle machine.
_FIRST_LIMIT_SECONDS: Final = 60.0
_LEAST_LIMIT_SECONDS: Final = 10.0
# A busy machine took 51 s for the first reload with those.
_LIMIT_WITH_LOG_SECONDS: Final = 120.0
# The machine may be that much busier than at the last reload: one that comes late would look refused.
_MARGIN: Final = 5


class SharedNginx(ConfiguredNginx):
    """Implements `factory.HostNginx` for an nginx in the same PID namespace."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._clock = clock
        self._reloads = Reloads(control, clock)
        self._seconds: float | None = None

    async def prove(self) -> None:
        self._reloads.prove()

    async def test(self) -> None:
        """Return None: only a reload can test."""

    async def reload(self, tested: object) -> int:
        del tested
        began, measured = self._clock.monotonic(), self._seconds
        limit = (
            _FIRST_LIMIT_SECONDS if measured is None else max(_LEAST_LIMIT_SECONDS, _MARGIN * measured + BIND_SECONDS)
        )
        count = await self._reloads.reload(limit, _nothing_more, _LIMIT_WITH_LOG_SECONDS)
        self._seconds = self._clock.monotonic() - began
        return count

    async def finishing(self) -> int:
        return self._reloads.finishing()

    async def sources(self) -> Sources:
        return await asyncio.to_thread(_read, self._reloads.master())


async def _nothing_more() -> str:
    return ""


def _read(master: Process) -> Sources:
    root = processes.PROC / str(master.pid) / "root"
    try:
        return read(main_file(master), RootDisk(root))
    except PermissionError as error:
        raise ReloadError(
            f"cannot read nginx's configuration through {root}",
            f"{error.strerror}: {error.filename}",
            "Run nginx and this program with the same uid, gid and capabilities (docs/reaching-nginx.md).",
        ) from error
    except (OSError, ValueError) as error:
        raise ReloadError("cannot read nginx's configuration", _why(error), "Check that file.") from error


def _why(error: OSError | ValueError) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
