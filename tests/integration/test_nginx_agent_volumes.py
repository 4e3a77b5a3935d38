"""The volume to which nginx's agent writes its answers: full, or with the modes of Kubernetes."""

import asyncio
import contextlib
import secrets
from pathlib import Path

import pytest

from stand.nginx import NginxSettings
from stand.nginx_agent import ENTRYPOINT, NginxWithAgent, Shell
from wellkeeper_node.clock import SystemClock
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


async def test_setgid_bit_of_a_volume_does_not_matter(folder: Path, http_port: int) -> None:
    answers = folder / "agent/answers"
    answers.mkdir(parents=True)
    answers.chmod(0o2770)
    async with NginxWithAgent(folder, NginxSettings(folder / "public.sock", (("127.0.0.1", http_port),))) as server:
        assert (await AgentNginx(server.agent_folder, SystemClock()).test()).passed
        assert answers.stat().st_mode & 0o777 == 0o700
