"""The issuer where DNS never answers: network and mounts of its own, with a name server that stays silent."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from stand.processes import PROGRAMS, search_path

_NAMESPACE: Final = ("unshare", "--user", "--map-root-user", "--mount", "--net")
# Brings the loopback up, binds port 53 and never reads from it; the resolver would wait for minutes. `_QUESTION` says
# that a question has arrived there.
_LAUNCHER: Final = """
import fcntl, os, socket, struct, subprocess, sys
folder, *argv = sys.argv[1:]
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
server.set_inheritable(True)
for name in ("resolv.conf", "nsswitch.conf"):
    subprocess.run(["mount", "--bind", f"{folder}/{name}", f"/etc/{name}"], check=True)
os.execv(argv[0], argv)
"""


@asynccontextmanager
async def without_dns(folder: Path, config: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command; killed on leaving, if it still runs."""
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    program = (str(PROGRAMS / "wellkeeper"), *arguments)
    process = await asyncio.create_subprocess_exec(
        *(*_NAMESPACE, sys.executable, "-c", _LAUNCHER, str(folder), *program),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "WELLKEEPER_CONFIG": str(config)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_asked(process: asyncio.subprocess.Process) -> None:
    """Return once a question waits at the silent name server."""
    while not _has_question(process.pid):
        if process.returncode is not None:
            raise AssertionError((await process.communicate())[1].decode())
        await asyncio.sleep(0.01)


def _has_question(pid: int) -> bool:
    return any(map(_is_waiting, Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]))


def _is_waiting(line: str) -> bool:
    """Return True if a socket at port 53 has data; fields: `sl local remote st tx_queue:rx_queue …`, hexadecimal."""
    fields = line.split()
    return fields[1].endswith(":0035") and int(fields[4].split(":")[1], 16) > 0
