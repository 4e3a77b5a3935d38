"""The agent beside a real nginx: hostile, foreign, broken or very many things in the directories that it shares."""

import asyncio
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stand.host import running_host
from stand.nginx import NginxServer, NginxSettings
from stand.nginx_agent import Container, NginxWithAgent, Shell
from tests.fakes import FakeClock
from tests.integration.observed import orders
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.agent import AgentNginx
from wellkeeper_node.nginx.agent_folder import AgentFolder

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

SHELLS: tuple[Shell, ...] = ("dash", "busybox")
CLOCK = SystemClock()
# What one question after another takes on a busy machine.
PATIENCE_SECONDS = 240


def settings(folder: Path, port: int) -> NginxSettings:
    return NginxSettings(folder / "public.sock", (("127.0.0.1", port),))


def asking(server: NginxWithAgent) -> AgentNginx:
    return AgentNginx(server.agent_folder, CLOCK)


def question(word: str = "test") -> str:
    return f"{secrets.token_hex(16)}.{word}"


async def until_logged(server: NginxWithAgent, words: str) -> None:
    while words not in server.log:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)


async def until_beaten(server: NginxWithAgent, times: int = 2) -> None:
    """Wait until the agent has looked at the questions since, so often."""
    for _ in range(times):
        before = server.heartbeat()
        while server.heartbeat() in ([], before):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


def answered(server: NginxWithAgent) -> set[str]:
    return {path.name for path in (server.agent_folder / "answers").iterdir()} - {"bell", "heartbeat", "heartbeat.new"}


@pytest.fixture(params=SHELLS)
async def server(request: pytest.FixtureRequest, folder: Path, http_port: int) -> AsyncIterator[NginxWithAgent]:
    async with NginxWithAgent(folder, settings(folder, http_port), Container(request.param)) as started:
        yield started


async def test_junk_among_the_questions_is_neither_opened_nor_answered(server: NginxWithAgent) -> None:
    questions, secret = server.agent_folder / "questions", server.agent_folder / "secret"
    secret.write_text("a secret")
    for name in (question(), question("show"), "../secret.test", "x.test", f"{'A' * 32}.test", f"{'a' * 32}.stop"):
        path = questions / name.replace("/", "_")
        path.symlink_to(secret) if path.suffix == ".show" else path.mkdir()
    os.mkfifo(questions / question())
    (questions / question("reload")).symlink_to("/nonexistent")
    (questions / f"{'$(touch pwned)'}; reload\n.test").write_text("reload")
    (questions / f"{'a' * 31}*.test").touch()
    (questions / f"{'b' * 33}.test").touch()
    await until_beaten(server)
    assert answered(server) == set()
    assert secret.read_text() == "a secret"
    reply = await AgentFolder(server.agent_folder, CLOCK).ask("test")
    assert (reply.result, reply.detail) == ("ran", "0")
    assert "SIGHUP" not in server.errors()


async def test_content_of_a_question_does_not_matter(server: NginxWithAgent) -> None:
    name = question()
    (server.agent_folder / "questions" / name).write_bytes(b"reload; touch pwned\n" * 100_000)
    while f"{name[:32]}.status" not in answered(server):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    status = (server.agent_folder / "answers" / f"{name[:32]}.status").read_text().split()
    assert status[:2] == ["ran", "0"]
    assert "SIGHUP" not in server.errors()


async def test_one_question_is_answered_at_a_time_until_its_asker_has_read_the_answer(server: NginxWithAgent) -> None:
    """Questions that are left behind do not fill the volume with answers."""
    questions = server.agent_folder / "questions"
    for _ in range(64):
        (questions / question("show")).touch()
    while not any(name.endswith(".status") for name in answered(server)):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    (number,) = {name[:32] for name in answered(server)}
    status = server.agent_folder / "answers" / f"{number}.status"
    before = status.stat().st_ctime_ns
    await until_beaten(server)
    assert status.stat().st_ctime_ns == before
    assert answered(server) >= {f"{number}.output", f"{number}.status"}
    assert (await asking(server).test()).passed
    assert list(questions.iterdir()) == []


async def test_64_questions_at_once_all_get_their_own_answers(server: NginxWithAgent) -> None:
    folders = [AgentFolder(server.agent_folder, CLOCK) for _ in range(64)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        replies = await asyncio.gather(
            *(one.ask("show" if number % 2 else "test") for number, one in enumerate(folders))
        )
    assert {(one.result, one.detail) for one in replies} == {("ran", "0")}
    assert ["# configuration file" in one.output for one in replies] == [False, True] * 32
    assert list((server.agent_folder / "questions").iterdir()) == []


async def test_questions_and_answers_of_before_the_start_get_no_answer_of_now(folder: Path, http_port: int) -> None:
    server = NginxWithAgent(folder, settings(folder, http_port))
    name, answers = question("reload"), server.agent_folder / "answers"
    (server.agent_folder / "questions" / name).touch()
    answers.mkdir()
    (answers / f"{name[:32]}.status").write_text("reloaded 0 0\n")
    async with server:
        while f"{name[:32]}.status" not in answered(server):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        status = (answers / f"{name[:32]}.status").read_text()
        assert status.startswith("interrupted 0 ")
        assert "SIGHUP" not in server.errors()
        assert await asking(server).reload(await asking(server).test()) == 0


@pytest.mark.parametrize("shell", SHELLS)
async def test_link_instead_of_a_directory_is_refused_until_it_is_gone(
    folder: Path, http_port: int, shell: Shell
) -> None:
    server = NginxWithAgent(folder, settings(folder, http_port), Container(shell))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(0o755)
    answers = server.agent_folder / "answers"
    answers.symlink_to(elsewhere)
    plain = NginxServer.is_ready
    await server.process.start(lambda: plain(server))
    try:
        await until_logged(server, f"{answers} must be a directory of user {os.geteuid()}, mode 0700; it is lrwx")
        assert (list(elsewhere.iterdir()), elsewhere.stat().st_mode & 0o777) == ([], 0o755)
        answers.unlink()
        await until_beaten(server, 1)
        assert answers.stat().st_mode & 0o777 == 0o700
        assert (await asking(server).test()).passed
    finally:
        await server.process.stop()


@pytest.mark.root
@pytest.mark.parametrize("shell", SHELLS)
async def test_answers_of_another_user_are_refused(folder: Path, http_port: int, shell: Shell) -> None:
    server = NginxWithAgent(folder, settings(folder, http_port), Container(shell))
    answers = server.agent_folder / "answers"
    answers.mkdir()
    os.chown(answers, 65534, 65534)
    plain = NginxServer.is_ready
    await server.process.start(lambda: plain(server))
    try:
        await until_logged(
            server, f"{answers} must be a directory of user 0, mode 0700; it is drwx------, of user 65534"
        )
        with pytest.raises(ReloadError, match=r"it belongs to user .*, but this process runs as root"):
            await asking(server).prove()
        assert list(answers.iterdir()) == []
    finally:
        await server.process.stop()


async def test_missing_questions_are_reported_until_they_are_mounted(folder: Path, http_port: int) -> None:
    server = NginxWithAgent(folder, settings(folder, http_port))
    questions = server.agent_folder / "questions"
    questions.rmdir()
    plain = NginxServer.is_ready
    await server.process.start(lambda: plain(server))
    try:
        await until_logged(server, f"{questions} is not a directory")
        questions.mkdir()
        await until_beaten(server, 1)
        assert (await asking(server).test()).passed
    finally:
        await server.process.stop()


@pytest.mark.parametrize("shell", SHELLS)
async def test_second_agent_waits_until_the_first_has_ended(folder: Path, http_port: int, shell: Shell) -> None:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    first = NginxWithAgent(folder / "a", settings(folder, http_port), Container(shell))
    sharing = Container(shell, agent_folder=first.agent_folder)
    second = NginxWithAgent(folder / "b", replace(settings(folder, http_port), http=()), sharing)
    async with first:
        plain = NginxServer.is_ready
        await second.process.start(lambda: plain(second))
        try:
            await until_logged(second, f"another agent answers in {first.agent_folder}/answers; this one waits")
            assert (await asking(first).look()).master == first.process.pid
            await first.process.stop()
            while (await asking(second).look()).master != second.process.pid:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
            assert await asking(second).reload(await asking(second).test()) == 0
        finally:
            await second.process.stop()


async def test_agent_whose_place_was_taken_while_it_hung_gives_way(folder: Path, http_port: int) -> None:
    server = NginxWithAgent(folder, settings(folder, http_port))
    async with server:
        heartbeat, before = server.agent_folder / "answers/heartbeat", server.heartbeat()[0]
        other = "pid:[1].2.3"
        await until_beaten(server, 1)  # its next heartbeat is a second away
        new = heartbeat.with_name("new")
        new.write_text(f"{other} 7 8 9 0\n")
        new.rename(heartbeat)
        await until_logged(server, "another agent answers")
        while server.heartbeat()[:1] in ([], [before], [other]):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


async def test_agent_that_hangs_is_a_failure_before_an_order(folder: Path) -> None:
    async with running_host(folder, {"web": ["www.example.org"]}, agent_shell="dash") as host:
        assert isinstance(host.nginx, NginxWithAgent)
        await until_beaten(host.nginx, 1)  # the next heartbeat is a second away
        os.kill(host.nginx.agent_pid, signal.SIGSTOP)
        os.utime(host.nginx.agent_folder / "answers/heartbeat", (0, 0))
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 1
        assert "nginx's agent does not run" in finished.out + finished.err
        assert orders(host.ca) == 0


async def test_agent_that_ends_with_a_question_is_reported(folder: Path, http_port: int) -> None:
    async with NginxWithAgent(folder, settings(folder, http_port)) as server:
        os.kill(server.agent_pid, signal.SIGSTOP)
        asked = asyncio.create_task(AgentFolder(server.agent_folder, FakeClock()).ask("test"))
        with pytest.raises(ReloadError, match=r"agent does not run: .*/heartbeat has not changed since .* UTC"):
            await asked
        assert list((server.agent_folder / "questions").iterdir()) == []


@pytest.mark.slow
async def test_ten_thousand_server_blocks_are_shown(server: NginxWithAgent) -> None:
    blocks = "".join(
        f"server {{ listen unix:{server.agent_folder}/s; server_name n{n}.example; }}\n" for n in range(10_000)
    )
    server.write(replace(server.settings, in_http=f"server_names_hash_max_size 65536;\n{blocks}"))
    reply = await AgentFolder(server.agent_folder, CLOCK).ask("show")
    assert (reply.result, reply.detail, reply.output.count("server_name n")) == ("ran", "0", 10_000)


@pytest.mark.slow
async def test_output_of_more_than_64_mib_is_cut(server: NginxWithAgent) -> None:
    comment = f"# {'x' * 1000}\n" * 70_000
    config = server.config_path.read_text()
    server.config_path.write_text(f"{config}{comment}")
    with pytest.raises(ReloadError, match="nginx prints more than 64 MiB"):
        await asking(server).servers()
    sizes = [path.stat().st_size for path in (server.agent_folder / "answers").iterdir()]
    assert max(sizes) <= 64 * 1024 * 1024
    server.config_path.write_text(config)
    assert len(await asking(server).servers()) == 1


async def test_missing_volume_of_the_answers_is_named(folder: Path, http_port: int) -> None:
    async with NginxWithAgent(folder, settings(folder, http_port)) as server:
        answers = server.agent_folder / "answers"
        moved = server.agent_folder / "moved"
        answers.rename(moved)
        with pytest.raises(ReloadError, match=rf"through {answers}: No such file or directory\. Mount the volumes"):
            await asking(server).prove()
        shutil.rmtree(moved)


async def test_doctor_and_status_say_what_the_agent_sees_and_what_they_cannot_check(folder: Path) -> None:
    async with running_host(folder, {"web": ["www.example.org"]}, agent_shell="busybox") as host:
        findings = (await host.issuer.run("doctor", "--offline", "--json")).json()["findings"]
        seen = {one["check"]: one["verdict"] for one in reversed(findings)}
        checks = ("nginx-process", "nginx-signal", "nginx-test", "nginx-loaded", "nginx-keys", "responder-reach")
        assert [seen[check] for check in checks] == ["ok", "ok", "ok", "skipped", "skipped", "skipped"], findings
        assert "nginx: reached through the agent beside it (process " in (await host.issuer.run_well("status")).out
        assert "web: every step succeeded" in (await host.issuer.run_well("rehearse")).out
