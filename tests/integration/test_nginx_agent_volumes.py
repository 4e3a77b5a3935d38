"""The volume to which nginx's agent writes its answers: full, or with the modes of Kubernetes."""

import asyncio
import contextlib
import os
import secrets
import sys
from pathlib import Path

import pytest

from stand.nginx import NginxSettings
from stand.nginx_agent import ENTRYPOINT, Container, NginxWithAgent, Shell
from stand.ports import free_port
from stand.processes import PROJECT
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.agent import AgentNginx

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

# On a busy machine.
PATIENCE_SECONDS = 240


@pytest.mark.root
@pytest.mark.parametrize("shell", ["dash", "busybox"])
async def test_full_volume_of_the_answers_is_reported(folder: Path, shell: Shell) -> None:
    answers, program, number = folder / "answers", folder / "nginx", secrets.token_hex(16)
    answers.mkdir()
    (folder / "questions").mkdir()
    program.write_text("#!/bin/sh\nhead -c 1000000 /dev/zero\n")
    program.chmod(0o755)
    words = "busybox sh" if shell == "busybox" else shell
    # The agent ends with the first process, whose status is the answer.
    script = f"""
        mount -t tmpfs -o size=64k,mode=700 none {answers}
        {words} {ENTRYPOINT.with_name("nginx-agent")} {folder} $$ {program} &
        until [ -e {answers}/heartbeat ]; do sleep 0.05; done
        : >{folder}/questions/{number}.test
        until read -r answer <{answers}/{number}.status; do sleep 0.05; done
        echo "$answer"
    """
    process = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "sh", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert out.startswith(b"unwritten ")


FILLING = """
import asyncio, sys
from pathlib import Path
from tests.integration.test_nginx_agent_volumes import fill_and_empty

asyncio.run(fill_and_empty(Path(sys.argv[1]), sys.argv[2]))
"""


async def fill_and_empty(folder: Path, shell: Shell) -> None:
    """Run an agent whose volume becomes full while it waits, in a mount namespace of this process."""
    answers = folder / "agent/answers"
    answers.mkdir(parents=True)
    mounting = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", answers)
    assert await mounting.wait() == 0
    settings = NginxSettings(folder / "public.sock", (("127.0.0.1", free_port()),))
    async with NginxWithAgent(folder, settings, Container(shell)) as server:
        filler = answers / "filler"
        with filler.open("wb", buffering=0) as file:
            while "nginx-agent: cannot write to " not in server.log:
                with contextlib.suppress(OSError):  # a heartbeat that replaces another one frees a page
                    while True:
                        file.write(bytes(512))
                await asyncio.sleep(0.02)
        nginx = AgentNginx(server.agent_folder, SystemClock())
        os.utime(answers / "heartbeat", (0, 0))
        with pytest.raises(
            ReloadError, match=rf"agent cannot answer: the volume of {answers} is full\. Make room on it"
        ):
            await nginx.prove()
        filler.unlink()
        await nginx.prove()
        assert (await nginx.test()).passed


@pytest.mark.root
@pytest.mark.parametrize("shell", ["dash", "busybox"])
async def test_volume_that_becomes_full_is_named_and_the_agent_goes_on_when_there_is_room(
    folder: Path, shell: Shell
) -> None:
    process = await asyncio.create_subprocess_exec(
        "unshare", "--mount", sys.executable, "-c", FILLING, folder, shell, cwd=PROJECT, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


async def test_setgid_bit_of_a_volume_does_not_matter(folder: Path, http_port: int) -> None:
    answers = folder / "agent/answers"
    answers.mkdir(parents=True)
    answers.chmod(0o2770)
    async with NginxWithAgent(folder, NginxSettings(folder / "public.sock", (("127.0.0.1", http_port),))) as server:
        assert (await AgentNginx(server.agent_folder, SystemClock()).test()).passed
        assert answers.stat().st_mode & 0o777 == 0o700
