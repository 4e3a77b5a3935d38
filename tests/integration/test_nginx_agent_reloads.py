"""Reloads through the agent that go wrong in rare ways, each at a real nginx."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stand.nginx import NginxSettings
from stand.nginx_agent import Container, NginxWithAgent, Shell
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import EndedError, ReloadError
from wellkeeper_node.nginx.agent import AgentNginx
from wellkeeper_node.nginx.agent_folder import AgentFolder

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

SHELLS: tuple[Shell, ...] = ("dash", "busybox")
CLOCK = SystemClock()


def asking(server: NginxWithAgent) -> AgentNginx:
    return AgentNginx(server.agent_folder, CLOCK)


def workers(pid: int) -> list[int]:
    """Return the children of the master that are not the agent's shell."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in children if b"worker process" in Path(f"/proc/{one}/cmdline").read_bytes()]


def has_pending_hangup(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    pending = next(line for line in status.splitlines() if line.startswith("ShdPnd:"))
    return bool(int(pending.split()[1], 16) & 1 << signal.SIGHUP - 1)


def replace_program(server: NginxWithAgent, name: str, script: str) -> None:
    """Put a script in the place of a program that entrypoint and agent run."""
    program = server.tools / name
    program.unlink()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture(params=SHELLS)
async def server(request: pytest.FixtureRequest, folder: Path, http_port: int) -> AsyncIterator[NginxWithAgent]:
    settings = NginxSettings(folder / "public.sock", (("127.0.0.1", http_port),))
    async with NginxWithAgent(folder, settings, Container(request.param)) as started:
        yield started


async def test_nginx_whose_new_workers_end_at_once_is_reported(server: NginxWithAgent) -> None:
    config = server.config_path.read_text()
    server.config_path.write_text(f"working_directory /nonexistent;\n{config}")
    nginx = asking(server)
    tested = await nginx.test()
    assert tested.passed
    with pytest.raises(EndedError, match=r'has no workers left .*chdir\("/nonexistent"\) failed.*restart nginx'):
        await nginx.reload(tested)


@pytest.mark.slow
async def test_old_worker_that_hangs_and_still_accepts_is_named(server: NginxWithAgent) -> None:
    nginx, (hung, _) = asking(server), workers(server.process.pid)
    tested = await nginx.test()
    os.kill(hung, signal.SIGSTOP)
    try:
        with pytest.raises(ReloadError, match=rf"old ones still accept .*: process {hung} of nginx's container"):
            await nginx.reload(tested)
    finally:
        os.kill(hung, signal.SIGCONT)


async def test_reload_that_comes_while_a_test_explains_its_absence_is_no_refusal(server: NginxWithAgent) -> None:
    """The master stops until the agent, after its time limit, asks nginx for the reason."""
    pid, nginx = server.process.pid, asking(server)
    tested, before = await nginx.test(), workers(pid)
    asked_why = server.tools.with_name("asked-why")
    replace_program(server, "timeout", f": >{asked_why}; while [ -e {asked_why} ]; do sleep 0.05; done")
    os.kill(pid, signal.SIGSTOP)
    try:
        reloading = asyncio.create_task(nginx.reload(tested))
        while not asked_why.exists():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    finally:
        os.kill(pid, signal.SIGCONT)
    while set(workers(pid)) <= set(before):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    asked_why.unlink()
    assert await reloading == 0


async def test_master_that_ends_during_the_reload_is_reported(folder: Path, http_port: int) -> None:
    settings = NginxSettings(folder / "public.sock", (("127.0.0.1", http_port),))
    server = NginxWithAgent(folder, settings, Container(command=("sh", "-c", "nginx; nginx")))
    replace_program(server, "nginx", f'exec {" ".join(server.argv())} "$@"')
    async with server:
        nginx = asking(server)
        master, tested = (await nginx.look()).master, await nginx.test()
        left = workers(master)
        os.kill(master, signal.SIGSTOP)
        reloading = asyncio.create_task(nginx.reload(tested))
        while not has_pending_hangup(master):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        for pid in (master, *left):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(
            EndedError, match=f"ended or was replaced during the reload: its master was process {master}"
        ):
            await reloading


async def test_nginx_that_does_not_run_is_reported(folder: Path, http_port: int) -> None:
    settings = NginxSettings(folder / "public.sock", (("127.0.0.1", http_port),))
    server = NginxWithAgent(folder, settings, Container(command=("sh", "-c", "nginx; sleep 600")))
    replace_program(server, "nginx", f'exec {" ".join(server.argv())} "$@"')
    async with server:
        nginx = asking(server)
        tested, master = await nginx.test(), (await nginx.look()).master
        os.kill(master, signal.SIGQUIT)
        while (await nginx.look()).master:  # noqa: ASYNC110 - the next heartbeat tells
            await asyncio.sleep(0.02)
        with pytest.raises(ReloadError, match="nginx does not run in its container"):
            await nginx.reload(tested)
        with pytest.raises(ReloadError, match="nginx does not run in its container"):
            await nginx.prove()


@pytest.mark.parametrize(
    ("program", "script", "words"),
    [
        ("timeout", "exit 137", "'nginx -T' was killed: by the agent after 120 s"),
        ("head", "cat >/dev/null; exit 1", "cannot write its answer. Make room on the volume"),
    ],
)
async def test_command_without_an_answer_is_reported(
    server: NginxWithAgent, program: str, script: str, words: str
) -> None:
    replace_program(server, program, script)
    (server.tools / "cat").symlink_to("/bin/cat")
    with pytest.raises(ReloadError, match=words):
        await asking(server).servers()


async def test_answer_has_the_time_that_nginx_took(server: NginxWithAgent) -> None:
    replace_program(server, "timeout", "/bin/sleep 0.5; exit 0")
    assert (await AgentFolder(server.agent_folder, CLOCK).ask("test")).seconds >= 0.5
