"""Run wrk (https://github.com/wg/wrk) with one thread and sixteen connections, and read its count of errors."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from stand.nginx import Address
from stand.processes import StandError, find_program, search_path

# As many as a CA has perspectives for a few orders at once; the second core is the server's.
CONNECTIONS: Final = 16
_SCRIPT: Final = Path(__file__).with_name("tokens.lua")

Mode = Literal["keep-alive", "close"]
Scheme = Literal["http", "https"]


@dataclass(frozen=True, slots=True)
class Run:
    """Results of a run; `errors` are failed connections, reads and writes, time-outs, and statuses from 400 on."""

    requests: int
    seconds: float
    errors: int
    p99_ms: float

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


async def wrk(address: Address, paths: Path, mode: Mode, seconds: int, scheme: Scheme = "http") -> Run:
    """Request the paths in turn; raises StandError when wrk fails, or gets no answer."""
    argv = [find_program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(_SCRIPT)]
    argv += [f"{scheme}://{address[0]}:{address[1]}", "--", str(paths), mode]
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8"},
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise StandError(f"wrk ended with {process.returncode}: {out.decode()}")
    return parse(out.decode())


def parse(out: str) -> Run:
    """Return the line of JSON in the output of wrk."""
    line = next((line for line in out.splitlines() if line.startswith("{")), None)
    run = Run(**json.loads(line)) if line else None
    if run is None or run.requests == 0:
        raise StandError(f"wrk got no answer:\n{out}")
    return run
