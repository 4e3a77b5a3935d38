"""Commands: output, exit codes, time-outs and leftover children."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import is_running, with_more_time
from wellkeeper_node.process import Finished, ProcessError, run

HANGS = "import os, subprocess, sys, time; child = subprocess.Popen(['sleep', '60']);"
HANGS += (
    "open(sys.argv[1], 'w').write(f'{os.getpid()} {child.pid}'); os.rename(sys.argv[1], sys.argv[2]); time.sleep(60)"
)


async def test_both_output_streams_and_exit_code_are_kept() -> None:
    assert await run(["sh", "-c", "echo out; echo err >&2; exit 3"], 60) == Finished(3, "out\nerr\n")


async def test_death_by_signal_is_a_negative_exit_code() -> None:
    assert (await run(["sh", "-c", "kill -9 $$"], 60)).exit_code == -9


async def test_command_runs_without_a_shell_and_without_input() -> None:
    assert await run(["echo", "$HOME;", "`id`"], 60) == Finished(0, "$HOME; `id`\n")
    assert await run(["cat"], 60) == Finished(0, "")


async def test_output_is_bounded_and_the_command_still_ends() -> None:
    finished = await run(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"], 60, output_bytes=1000)
    assert finished == Finished(0, "x" * 1000)


async def test_command_gets_only_the_given_environment() -> None:
    assert await run(["/usr/bin/env"], 60, environment={"A": "1", "B": "two words"}) == Finished(
        0, "A=1\nB=two words\n"
    )


async def test_without_an_environment_the_command_inherits_ours() -> None:
    assert "PATH=" in (await run(["/usr/bin/env"], 60)).output


async def test_output_before_a_time_out_is_kept() -> None:
    async def output(seconds: float) -> str:
        with pytest.raises(ProcessError) as caught:
            await run(["sh", "-c", "echo so far; exec sleep 60"], seconds)
        return caught.value.output

    assert await with_more_time(output) == "so far\n"


async def test_missing_command_is_named() -> None:
    with pytest.raises(ProcessError, match=r"the command 'no-such-nginx' is not installed, or not in PATH"):
        await run(["no-such-nginx", "-t"], 60)


async def test_missing_path_or_interpreter_is_reported(folder: Path) -> None:
    script = folder / "hook"
    with pytest.raises(ProcessError, match=f"'{script}' does not exist"):
        await run([str(script)], 60)
    script.write_text("#!/no/such/shell\n")
    script.chmod(0o755)
    with pytest.raises(ProcessError, match=f"cannot run '{script}': the interpreter in its first line .* is missing"):
        await run([str(script)], 60)


async def test_command_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "nginx").touch(mode=0o644)
    with pytest.raises(ProcessError, match=r"uid \d+ may not run '.*nginx', or it is not executable"):
        await run([str(tmp_path / "nginx")], 60)


async def test_hanging_command_is_killed_with_its_children(tmp_path: Path) -> None:
    await killed_in_time([sys.executable, "-S", "-c", HANGS, str(tmp_path / "new"), str(tmp_path / "pids")], tmp_path)


async def test_background_children_are_killed_on_time_out(tmp_path: Path) -> None:
    await killed_in_time(
        ["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids"], tmp_path
    )


async def test_cancelled_command_is_killed_with_its_children(tmp_path: Path) -> None:
    argv = [sys.executable, "-S", "-c", HANGS, str(tmp_path / "new"), str(tmp_path / "pids")]
    task = asyncio.ensure_future(run(argv, 60))
    await until(lambda: exists(tmp_path / "pids"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_gone(tmp_path / "pids")


async def test_command_cancelled_while_starting_is_killed_with_its_children(tmp_path: Path) -> None:
    argv = [sys.executable, "-S", "-c", HANGS, str(tmp_path / "new"), str(tmp_path / "pids")]
    task = asyncio.ensure_future(run(argv, 60))
    for _ in range(2):  # the command has started by then, and the loop does not know it yet
        await asyncio.sleep(0)
    deadline = time.monotonic() + 60
    while not exists(tmp_path / "pids") and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251 - so that it stays so
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()  # with a child left over, which sleeps for a minute, it would still be waiting
    await until_gone(tmp_path / "pids")


async def killed_in_time(argv: list[str], folder: Path) -> None:
    """Check that a limit ends a command with all that it started, whose ids it writes into `pids`."""

    async def wrote(seconds: float) -> bool:
        with pytest.raises(ProcessError, match=rf"did not end within {seconds:g} s and was killed"):
            await run(argv, seconds)
        return exists(folder / "pids")

    assert await with_more_time(wrote)
    await until_gone(folder / "pids")


def exists(path: Path) -> bool:
    return path.exists()


async def until_gone(pids: Path) -> None:
    """Wait until the processes are gone: another process reaps the child of a killed child a moment later."""
    await until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.01)


async def test_system_error_of_a_command_is_quoted() -> None:
    with pytest.raises(ProcessError, match="Argument list too long"):
        await run(["true", "x" * 200_000], 60)
