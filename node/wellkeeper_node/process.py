"""Run a command until it ends: without a shell or input, with limited output, killed as a group on a timeout."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DEFAULT_OUTPUT_BYTES: Final = 256 * 1024
# A process ends at once after SIGKILL, unless it hangs in a dead file system.
_KILL_SECONDS: Final = 2.0


class ProcessError(Exception):
    """The command did not start or did not end; the text names it and the cause, `output` is its output so far."""

    output: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """`exit_code` is negative when a signal ended it; `output` is standard output and standard error, in order."""

    exit_code: int
    output: str


async def run(
    argv: Sequence[str],
    timeout_seconds: float,
    output_bytes: int = _DEFAULT_OUTPUT_BYTES,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run the command in its own session; output beyond `output_bytes` is dropped.

    `environment` replaces this process's environment. After the timeout, or when cancelled, the command and its group
    are killed. Raises ProcessError.
    """
    process = await _start_whole(argv, environment)
    kept = bytearray()
    has_ended = False
    try:
        async with asyncio.timeout(timeout_seconds):
            await _read(process, output_bytes, kept)
            exit_code = await process.wait()
        has_ended = True
    except TimeoutError as timeout:
        # Only the name: arguments may be secrets, and webhooks get this text.
        error = ProcessError(f"{argv[0]!r} did not end within {timeout_seconds:g} s and was killed")
        error.output = kept.decode(errors="replace")
        raise error from timeout
    finally:
        # Also when the command itself ended: a child in its group may hold its output open.
        if not has_ended:
            await _kill(process)
    return Finished(exit_code, kept.decode(errors="replace"))


def missing(command: str) -> str:
    """Return why a command cannot be run that is not there."""
    if "/" not in command:
        return f"the command {command!r} is not installed, or not in PATH"
    if Path(command).exists():
        return f"cannot run {command!r}: the interpreter in its first line (#!) is missing"
    return f"{command!r} does not exist"


async def _start_whole(argv: Sequence[str], environment: Mapping[str, str] | None) -> Process:
    """Start the command; a cancellation kills the whole group, of which asyncio would kill only the first process."""
    starting = asyncio.ensure_future(_start(argv, environment))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if not starting.cancelled() and starting.exception() is None:
            await _kill(starting.result())
        raise


async def _start(argv: Sequence[str], environment: Mapping[str, str] | None) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True, env=environment
        )
    except FileNotFoundError as error:
        raise ProcessError(missing(argv[0])) from error
    except PermissionError as error:
        raise ProcessError(f"uid {os.geteuid()} may not run {argv[0]!r}, or it is not executable") from error
    except OSError as error:
        raise ProcessError(f"cannot run {argv[0]!r}: {error.strerror or error}") from error


async def _read(process: Process, limit: int, kept: bytearray) -> None:
    if process.stdout is not None:
        while block := await process.stdout.read(65536):
            kept += block[: limit - len(kept)]


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_KILL_SECONDS):
            await process.wait()
            # Drain the output so that the pipe closes. A descendant that left the group may hold it open; the
            # timeout above gives up then.
            await _read(process, 0, bytearray())
