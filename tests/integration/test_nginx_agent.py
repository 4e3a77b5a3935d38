"""The agent beside a real nginx, run by dash and by busybox: its answers, its proofs, and its life with nginx."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import running_host
from stand.nginx import NginxSettings
from stand.nginx_agent import Container, NginxWithAgent, Shell
from tests.fakes import FakeClock
from tests.integration.observed import installed, outcomes, served
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import RefusedError, ReloadError
from wellkeeper_node.nginx.agent import AgentNginx
from wellkeeper_node.nginx.agent_folder import AgentFolder

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME = "www.example.org"
SHELLS: tuple[Shell, ...] = ("dash", "busybox")


def settings(folder: Path, port: int) -> NginxSettings:
    return NginxSettings(folder / "public.sock", (("127.0.0.1", port),))


def asking(server: NginxWithAgent) -> AgentNginx:
    return AgentNginx(server.agent_folder, SystemClock())


def is_running(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


async def until_ended(pid: int) -> None:
    while is_running(pid):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)


@asynccontextmanager
async def beaten(server: NginxWithAgent) -> AsyncIterator[list[str]]:
    """Yield the heartbeat, and wait after the block for one of another agent."""
    before = server.heartbeat()
    yield before
    while server.heartbeat()[:1] in ([], before[:1]):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)


@pytest.fixture(params=SHELLS)
async def server(request: pytest.FixtureRequest, folder: Path, http_port: int) -> AsyncIterator[NginxWithAgent]:
    async with NginxWithAgent(folder, settings(folder, http_port), Container(request.param)) as started:
        yield started


async def test_nginx_is_tested_shown_and_reloaded_with_proof(server: NginxWithAgent) -> None:
    nginx, clock = asking(server), SystemClock()
    await nginx.prove()
    before = await nginx.look()
    assert (before.master, before.accepting) == (server.process.pid, 2)
    assert [one.names for one in await nginx.servers()] == [("_",)]
    tested = await nginx.test()
    assert (tested.passed, tested.words) == (True, "")
    began = clock.monotonic()
    assert await nginx.reload(tested) == 0
    print(f"reloaded in {clock.monotonic() - began:.2f} s")  # noqa: T201 - a figure for people
    assert server.errors().count("SIGHUP) received") == 1
    assert (await nginx.look()).accepting == 2


async def test_test_creates_missing_logs_as_nginx_does(server: NginxWithAgent) -> None:
    log = server.config_path.with_name("new.log")
    server.write(replace(server.settings, in_server=f"access_log {log};"))
    assert (await asking(server).test()).passed
    assert log.stat().st_mode & 0o777 == 0o644


async def test_refusal_has_the_words_of_nginx_and_the_repair_is_loaded(server: NginxWithAgent) -> None:
    nginx, config = asking(server), server.config_path.read_text()
    passed = await nginx.test()
    server.config_path.write_text(config.replace("events", "oops;\nevents", 1))
    tested = await nginx.test()
    assert not tested.passed
    assert tested.words.startswith('[emerg] unknown directive "oops" in ')
    with pytest.raises(ReloadError, match=r'unknown directive "oops"'):
        await nginx.servers()
    with pytest.raises(RefusedError, match=r'did not load .* keeps the old .*: \[emerg\] unknown directive "oops" in '):
        await nginx.reload(passed)
    server.config_path.write_text(config)
    assert await nginx.reload(await nginx.test()) == 0


async def test_refusal_that_no_test_finds_is_explained_by_the_log(server: NginxWithAgent) -> None:
    """Take a port, of which `nginx -t` does not complain."""
    nginx = asking(server)
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        server.write(NginxSettings(Path("/s"), (*server.settings.http, ("127.0.0.1", port))))
        tested = await nginx.test()
        assert tested.passed
        with pytest.raises(RefusedError, match=rf"bind\(\) to 127\.0\.0\.1:{port} failed .*Address already in use"):
            await nginx.reload(tested)


async def test_requests_that_old_workers_finish_are_counted(server: NginxWithAgent) -> None:
    nginx = asking(server)
    _, writer = await asyncio.open_connection(*server.settings.http[0])
    writer.write(b"GET / HTTP/1.1\r\nHost: a.exam")
    await writer.drain()
    while not await nginx.reload(await nginx.test()):
        pass  # the worker had not read the request yet
    while await nginx.finishing() != 1:  # noqa: ASYNC110 - the next heartbeat tells
        await asyncio.sleep(0.02)
    writer.close()


async def test_agent_that_was_killed_is_started_again(server: NginxWithAgent) -> None:
    async with beaten(server):
        os.kill(server.agent_pid, signal.SIGKILL)
    assert (await asking(server).test()).passed


async def test_question_at_the_end_of_an_agent_is_asked_again(server: NginxWithAgent) -> None:
    os.kill(server.agent_pid, signal.SIGSTOP)
    asked = asyncio.create_task(AgentFolder(server.agent_folder, SystemClock()).ask("test"))
    while not any((server.agent_folder / "questions").iterdir()):  # noqa: ASYNC110 - another task
        await asyncio.sleep(0)
    async with beaten(server):
        os.kill(server.agent_pid, signal.SIGKILL)
    reply = await asked
    assert (reply.result, reply.detail) == ("ran", "0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
async def test_signals_reach_nginx_and_the_agent_ends_with_it(server: NginxWithAgent, number: signal.Signals) -> None:
    assert title(server.process.pid).startswith("nginx: master process ")
    agent = server.agent_pid
    server.process.signal(number)
    assert await server.process.wait() == 0
    await until_ended(agent)


async def test_entrypoint_of_the_image_gets_the_command(folder: Path, http_port: int) -> None:
    image = folder / "docker-entrypoint.sh"
    image.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{folder}/seen\nexec "$@"\n')
    image.chmod(0o755)
    async with NginxWithAgent(folder, settings(folder, http_port), Container(image_entrypoint=image)) as server:
        assert (folder / "seen").read_text().splitlines() == server.argv()
        assert (await asking(server).look()).master == server.process.pid


@pytest.mark.parametrize("shell", SHELLS)
async def test_nginx_that_a_script_restarts_is_found_again(folder: Path, http_port: int, shell: Shell) -> None:
    server = NginxWithAgent(folder, settings(folder, http_port), Container(shell, command=("start-nginx",)))
    script = server.tools / "start-nginx"
    script.write_text("#!/bin/sh\nwhile :; do nginx; sleep 0.1; done\n")
    script.chmod(0o755)
    program = server.tools / "nginx"
    program.unlink()
    program.write_text(f'#!/bin/sh\nexec {" ".join(server.argv())} "$@"\n')
    program.chmod(0o755)
    async with server:
        nginx = asking(server)
        first = (await nginx.look()).master
        for pid in (first, *children(first)):
            os.kill(pid, signal.SIGKILL)
        while (await nginx.look()).master in {0, first}:  # noqa: ASYNC110 - the next heartbeats tell
            await asyncio.sleep(0.02)
        assert await nginx.reload(await nginx.test()) == 0


@pytest.mark.root
@pytest.mark.parametrize("shell", SHELLS)
async def test_agent_works_beside_the_first_process_of_a_container(folder: Path, http_port: int, shell: Shell) -> None:
    async with NginxWithAgent(folder, settings(folder, http_port), Container(shell, has_own_processes=True)) as server:
        nginx = asking(server)
        assert (await nginx.look()).master == 1
        assert await nginx.reload(await nginx.test()) == 0


@pytest.mark.root
async def test_crash_of_the_container_and_its_next_start_are_seen(folder: Path, http_port: int) -> None:
    async with NginxWithAgent(folder, settings(folder, http_port), Container(has_own_processes=True)) as server:
        before = server.heartbeat()
        server.process.signal(signal.SIGKILL)  # --kill-child kills nginx, and the kernel all beside it
        await server.process.wait()
    with pytest.raises(ReloadError, match=r"agent does not run: .*/answers/heartbeat has not changed since "):
        await AgentNginx(server.agent_folder, FakeClock()).prove()
    again = NginxWithAgent(folder, settings(folder, http_port), Container(has_own_processes=True))
    async with again:
        while again.heartbeat()[:1] == before[:1]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        assert await asking(again).reload(await asking(again).test()) == 0


@pytest.mark.parametrize("shell", SHELLS)
async def test_certificate_is_renewed_through_the_agent(folder: Path, shell: Shell) -> None:
    async with running_host(folder, {"web": [NAME]}, agent_shell=shell) as host:
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"web": "served"}, finished
        first = installed(host.issuer, "web")
        assert await served(host, NAME) == first
        await host.issuer.run_well("renew", "--force")
        assert await served(host, NAME) == installed(host.issuer, "web") != first
