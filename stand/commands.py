"""Run a command to its end, with an environment of its own."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stand.issuer import Finished
from stand.processes import StandError

_SECONDS: Final = 180.0


async def run(
    *argv: str, environment: Mapping[str, str], folder: Path | None = None, seconds: float = _SECONDS
) -> Finished:
    """Return the result of a command. A command that is late or cancelled is killed."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Finished(process.returncode or 0, out.decode(), err.decode())


async def run_well(*argv: str, environment: Mapping[str, str], folder: Path | None = None) -> str:
    """Return the output of a command. Raises StandError when it fails."""
    finished = await run(*argv, environment=environment, folder=folder)
    if finished.exit_code != 0:
        raise StandError(f"{' '.join(argv)}: exit status {finished.exit_code}\n{finished.out}{finished.err}")
    return finished.out
