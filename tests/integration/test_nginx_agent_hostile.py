"""The agent beside a real nginx when what it shares is hostile: pipes, links, junk, questions that vanish."""

import asyncio
import contextlib
import functools
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from stand.nginx import NginxServer, NginxSettings
from stand.nginx_agent import Container, NginxWithAgent, Shell
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.agent import AgentNginx
from wellkeeper_node.nginx.agent_folder import AgentFolder

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

SHELLS: tuple[Shell, ...] = ("dash", "busybox")
CLOCK = SystemClock()


def asking(server: NginxWithAgent) -> AgentNginx:
    return AgentNginx(server.agent_folder, CLOCK)


def answers(server: NginxWithAgent) -> Path:
    return server.agent_folder / "answers"


def ticker_of(agent: int) -> int:
    """Return the child of the agent that rings its bell every second: a copy of its shell."""
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    title = Path(f"/proc/{agent}/cmdline").read_text()
    return next(int(one) for one in children if Path(f"/proc/{one}/cmdline").read_text() == title)


def has_process(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def beaten(server: NginxWithAgent, former: str = "") -> None:
    """Wait for the next heartbeat, which is not of the former agent."""
    before = server.heartbeat()
    while server.heartbeat() in ([], before) or server.heartbeat()[0] == former:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)


@pytest.fixture(params=SHELLS)
async def server(request: pytest.FixtureRequest, folder: Path, http_port: int) -> AsyncIterator[NginxWithAgent]:
    settings = NginxSettings(folder / "public.sock", (("127.0.0.1", http_port),))
    async with NginxWithAgent(folder, settings, Container(request.param)) as started:
        yield started


@pytest.mark.parametrize(
    "plant",
    [os.mkfifo, lambda path: path.symlink_to("/dev/full"), lambda path: path.symlink_to("/nonexistent"), os.mkdir],
    ids=["pipe", "link to a device", "dangling link", "directory"],
)
async def test_what_lies_in_the_place_of_an_answer_is_replaced(
    server: NginxWithAgent, plant: Callable[[Path], object]
) -> None:
    number = secrets.token_hex(16)
    for suffix in ("output", "code", "new", "status"):
        plant(answers(server) / f"{number}.{suffix}")
    (server.agent_folder / "questions" / f"{number}.test").touch()
    status = answers(server) / f"{number}.status"
    while not (status.is_file() and not status.is_symlink()):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    assert status.read_text().startswith("ran 0 ")
    assert "successful" in (answers(server) / f"{number}.output").read_text()


@pytest.mark.parametrize(
    "plant",
    [os.mkfifo, lambda path: path.symlink_to("/nonexistent"), os.mkdir],
    ids=["pipe", "dangling link", "directory"],
)
async def test_what_lies_in_the_place_of_the_next_heartbeat_is_replaced(
    server: NginxWithAgent, plant: Callable[[Path], object]
) -> None:
    await beaten(server)
    with contextlib.suppress(FileNotFoundError):
        (answers(server) / "heartbeat.new").unlink()
    plant(answers(server) / "heartbeat.new")
    await beaten(server)
    await beaten(server)
    assert (await asking(server).test()).passed


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def is_heartbeat(path: Path) -> bool:
    return path.is_file() and 0 < path.stat().st_size < 200


@pytest.mark.parametrize(
    ("plant", "words"),
    [(os.mkdir, "Is a directory"), (make_huge, "longer than 4096 bytes")],
    ids=["directory", "1 TiB"],
)
async def test_what_lies_in_the_place_of_the_heartbeat_is_gone_after_a_restart(
    server: NginxWithAgent, plant: Callable[[Path], object], words: str
) -> None:
    heartbeat, agent = answers(server) / "heartbeat", server.agent_pid
    os.kill(agent, signal.SIGKILL)
    heartbeat.unlink()
    plant(heartbeat)
    with pytest.raises(ReloadError, match=f"heartbeat: {words}"):
        await asking(server).prove()
    while not is_heartbeat(heartbeat):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    assert (await asking(server).test()).passed


@pytest.mark.parametrize("shell", SHELLS)
async def test_of_two_agents_that_start_at_once_one_answers(folder: Path, http_port: int, shell: Shell) -> None:
    both = []
    for name in ("a", "b"):
        (folder / name).mkdir()
        settings = NginxSettings(folder / "public.sock", (("127.0.0.1", http_port),) if name == "a" else ())
        both.append(NginxWithAgent(folder / name, settings, Container(shell, agent_folder=folder / "agent")))
    try:
        await asyncio.gather(*(one.process.start(functools.partial(NginxServer.is_ready, one)) for one in both))
        while not any("another agent answers" in one.log for one in both):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)
        seen = await asking(both[0]).running()
        assert seen.master in {one.process.pid for one in both}
        assert (await asking(both[1]).test()).passed
    finally:
        for one in both:
            await one.process.stop()


async def test_questions_that_vanish_leave_nothing_behind(server: NginxWithAgent) -> None:
    """Their asker was killed, before or while the agent answers."""
    for number in range(20):
        question = (
            server.agent_folder / "questions" / f"{secrets.token_hex(16)}.{('test', 'show', 'reload')[number % 3]}"
        )
        question.touch()
        await asyncio.sleep(0.01 * number)
        question.unlink()
    assert (await asking(server).test()).passed
    while {path.name for path in answers(server).iterdir()} - {"bell", "heartbeat", "heartbeat.new"}:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_bell_that_rings_with_junk_does_no_harm(server: NginxWithAgent) -> None:
    with (answers(server) / "bell").open("wb") as bell:
        bell.write(b"\0; touch pwned $(reload) \\\n" * 1000 + b"x" * 10_000)
    await beaten(server)
    assert (await asking(server).test()).passed
    assert "SIGHUP" not in server.errors()


@pytest.mark.parametrize("bell", [os.mkfifo, lambda path: path.symlink_to("/dev/full"), os.mkdir, None])
async def test_question_without_the_bell_is_answered_a_little_later(
    server: NginxWithAgent, bell: Callable[[Path], object] | None
) -> None:
    (answers(server) / "bell").unlink()
    if bell is not None:
        bell(answers(server) / "bell")
    assert (await asking(server).test()).passed


async def test_agent_whose_clock_process_was_killed_is_started_again(server: NginxWithAgent) -> None:
    former = server.heartbeat()[0]
    os.kill(ticker_of(server.agent_pid), signal.SIGKILL)
    await beaten(server, former)
    assert (await asking(server).test()).passed


async def test_agent_that_was_killed_leaves_no_process(server: NginxWithAgent) -> None:
    former, ticker = server.heartbeat()[0], ticker_of(server.agent_pid)
    os.kill(server.agent_pid, signal.SIGKILL)
    await beaten(server, former)
    while has_process(ticker):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)


async def test_heartbeat_of_a_clock_that_is_ahead_is_believed_when_the_next_one_comes(server: NginxWithAgent) -> None:
    ahead = CLOCK.now().timestamp() + 86_400
    os.utime(answers(server) / "heartbeat", (ahead, ahead))
    assert (await asking(server).running()).master == server.process.pid


async def test_nginx_that_is_killed_during_a_question_is_reported(server: NginxWithAgent) -> None:
    """In a container, the agent ends with it."""
    program = server.tools / "timeout"
    program.unlink()
    begun = server.tools / "begun"
    program.write_text(f"#!/bin/sh\n: >{begun}\nsleep 600\n")
    program.chmod(0o755)
    asked = asyncio.create_task(AgentFolder(server.agent_folder, CLOCK).ask("test"))
    while not begun.exists():  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    server.process.signal(signal.SIGKILL)
    with pytest.raises(ReloadError, match="nginx's agent does not run: "):
        await asked
    assert list((server.agent_folder / "questions").iterdir()) == []


async def test_many_and_large_files_among_the_questions_delay_no_answer(server: NginxWithAgent) -> None:
    questions = server.agent_folder / "questions"
    for number in range(2000):
        (questions / f"junk-{number}").touch()
    large = questions / f"{secrets.token_hex(16)}.stop"
    with large.open("wb") as file:
        file.truncate(2**40)
    assert (await asking(server).test()).passed
