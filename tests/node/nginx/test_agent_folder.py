"""Questions to a played agent: heartbeats, locks, directories that are not what they should be."""

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.node.nginx.played_agent import PlayedAgent, playing
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import EndedError, ReloadError
from wellkeeper_node.nginx.agent_folder import AgentFolder, Heartbeat, Reply


@pytest.fixture
def agent(folder: Path) -> PlayedAgent:
    return PlayedAgent(folder)


async def test_answer_is_read_and_the_question_removed(agent: PlayedAgent, clock: FakeClock) -> None:
    agent.said["test"] = [("ran 0 134", "test is successful\n")]
    async with playing(agent):
        reply = await AgentFolder(agent.folder, clock).ask("test")
    assert reply == Reply("ran", "0", 1.34, "test is successful\n")
    assert list(agent.questions.iterdir()) == []


async def test_bell_rings_after_a_question_and_its_removal(agent: PlayedAgent, clock: FakeClock) -> None:
    agent.said["test"] = [("ran 0 1", "")]
    os.mkfifo(agent.answers / "bell")
    bell = os.open(agent.answers / "bell", os.O_RDONLY | os.O_NONBLOCK)
    async with playing(agent):
        await AgentFolder(agent.folder, clock).ask("test")
    assert os.read(bell, 10) == b"\n\n"
    os.close(bell)


@pytest.mark.parametrize("kind", ["file", "link", "directory", "pipe without a reader", "full pipe"])
async def test_bell_that_cannot_ring_delays_the_answer_but_is_not_changed(
    agent: PlayedAgent, clock: FakeClock, kind: str
) -> None:
    agent.said["test"] = [("ran 0 1", "")]
    bell, kept = agent.answers / "bell", agent.folder / "kept"
    kept.write_text("kept")
    with contextlib.ExitStack() as stack:
        match kind:
            case "file":
                bell.hardlink_to(kept)
            case "link":
                bell.symlink_to(kept)
            case "directory":
                bell.mkdir()
            case _:
                os.mkfifo(bell)
        if kind == "full pipe":
            pipe = os.open(bell, os.O_RDWR | os.O_NONBLOCK)
            stack.callback(os.close, pipe)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(pipe, bytes(4096))
        async with playing(agent):
            assert (await AgentFolder(agent.folder, clock).ask("test")).result == "ran"
    assert kept.read_text() == "kept"


async def test_question_has_no_content_and_a_random_name(agent: PlayedAgent, clock: FakeClock) -> None:
    agent.said["test"] = [("ran 0 1", "")] * 2
    async with playing(agent):
        for _ in range(2):
            await AgentFolder(agent.folder, clock).ask("test")
    first, second = agent.asked
    assert first != second
    assert len(first) == len("0" * 32 + ".test")


async def test_interrupted_question_is_asked_once_more(agent: PlayedAgent, clock: FakeClock) -> None:
    agent.said["test"] = [("interrupted 0 0", ""), ("ran 0 1", ""), ("interrupted 0 0", ""), ("interrupted 0 0", "")]
    async with playing(agent):
        assert (await AgentFolder(agent.folder, clock).ask("test")).result == "ran"
        assert (await AgentFolder(agent.folder, clock).ask("test")).result == "interrupted"


async def test_fresh_heartbeat_is_taken_at_once(agent: PlayedAgent) -> None:
    assert await AgentFolder(agent.folder, SystemClock()).heartbeat() == Heartbeat("pid:[1].7.99", 1, 1, 2, 0)


async def test_heartbeat_that_looks_old_is_believed_when_the_next_one_comes(
    agent: PlayedAgent, clock: FakeClock
) -> None:
    """The clock was set."""
    async with playing(agent):
        assert (await AgentFolder(agent.folder, clock).heartbeat()).count > 1


async def test_old_heartbeat_is_an_error_with_the_place_and_the_remedy(agent: PlayedAgent, clock: FakeClock) -> None:
    os.utime(agent.answers / "heartbeat", (0, 86400))
    with pytest.raises(ReloadError) as raised:
        await AgentFolder(agent.folder, clock).heartbeat()
    assert raised.value.lines == (
        "nginx's agent does not run",
        f"{agent.answers}/heartbeat has not changed since 1970-01-02 00:00:00 UTC",
        "Start nginx's container with Wellkeeper's entrypoint and volumes, as docs/reaching-nginx.md shows.",
    )


async def test_heartbeat_of_an_impossible_time_is_an_error(agent: PlayedAgent, clock: FakeClock) -> None:
    os.utime(agent.answers / "heartbeat", (0, 2**38))
    # ext4 sets the last time that it knows.
    with pytest.raises(ReloadError, match=r"has not changed since (an impossible time \(\d+ s after 1970\)|2446-)"):
        await AgentFolder(agent.folder, clock).heartbeat()


async def test_missing_heartbeat_is_an_error(agent: PlayedAgent, clock: FakeClock) -> None:
    (agent.answers / "heartbeat").unlink()
    with pytest.raises(ReloadError, match="heartbeat does not exist"):
        await AgentFolder(agent.folder, clock).ask("test")
    assert list(agent.questions.iterdir()) == []


async def test_agent_that_ends_before_it_answers_is_an_error(agent: PlayedAgent, clock: FakeClock) -> None:
    agent.said["test"] = [("", "")]

    def end() -> None:
        agent.is_alive = not agent.asked

    began = clock.monotonic()
    async with playing(agent, end):
        with pytest.raises(EndedError, match="agent does not run"):
            await AgentFolder(agent.folder, clock).ask("test")
    assert clock.monotonic() - began < 20
    assert list(agent.questions.iterdir()) == []


async def test_agent_that_beats_but_never_answers_is_an_error(agent: PlayedAgent, clock: FakeClock) -> None:
    agent.said["test"] = [("", "")]
    async with playing(agent):
        with pytest.raises(ReloadError, match=r"agent does not answer: it was asked 600 s ago"):
            await AgentFolder(agent.folder, clock).ask("test")


async def test_question_is_asked_when_the_other_process_has_its_answer(agent: PlayedAgent, clock: FakeClock) -> None:
    agent.said["test"] = [("ran 0 1", "")]
    other = os.open(agent.questions, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    async with playing(agent):
        asking = asyncio.create_task(AgentFolder(agent.folder, clock).ask("test"))
        await run_tasks_until(lambda: len(clock.slept) > 3)
        assert agent.asked == []
        os.close(other)
        assert (await asking).result == "ran"


async def test_other_process_that_asks_forever_is_an_error(agent: PlayedAgent, clock: FakeClock) -> None:
    other = os.open(agent.questions, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(ReloadError, match="another process has waited for its answer for 600 s"):
        await AgentFolder(agent.folder, clock).ask("test")
    os.close(other)


async def test_questions_of_killed_processes_are_removed_and_other_files_kept(
    agent: PlayedAgent, clock: FakeClock
) -> None:
    agent.said["show"] = [("ran 0 1", "")]
    agent.asked.append(f"{'a' * 32}.reload")
    (agent.questions / agent.asked[0]).touch()
    (agent.questions / f"{'b' * 32}.test").mkdir()
    agent.asked.append(f"{'b' * 32}.test")
    (agent.questions / "notes").touch()
    async with playing(agent):
        await AgentFolder(agent.folder, clock).ask("show")
    assert {path.name for path in agent.questions.iterdir()} == {"notes", f"{'b' * 32}.test"}


async def test_cancelled_question_is_removed(agent: PlayedAgent, clock: FakeClock) -> None:
    agent.said["test"] = [("", "")]
    async with playing(agent):
        asking = asyncio.create_task(AgentFolder(agent.folder, clock).ask("test"))
        await run_tasks_until(lambda: bool(agent.asked))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert list(agent.questions.iterdir()) == []


@pytest.mark.parametrize(
    "status", ["ran 0", "ran 0 soon", "ran 0 1 more", "", "ran 0 ²", "reloaded x 1", f"ran 0 1{'0' * 400}"]
)
async def test_status_that_cannot_be_understood_is_an_error(agent: PlayedAgent, clock: FakeClock, status: str) -> None:
    agent.said["test"] = [(status or " ", "")]
    async with playing(agent):
        with pytest.raises(ReloadError, match="cannot understand the answer of nginx's agent: a line: "):
            await AgentFolder(agent.folder, clock).ask("test")


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "long"])
async def test_answer_that_is_no_small_file_is_not_read(agent: PlayedAgent, clock: FakeClock, kind: str) -> None:
    secret = agent.folder / "secret"
    secret.write_text("pid:[1].7.99 1 1 2 0\n")
    heartbeat = agent.answers / "heartbeat"
    heartbeat.unlink()
    match kind:
        case "link":
            heartbeat.symlink_to(secret)
        case "fifo":
            os.mkfifo(heartbeat)
        case "directory":
            heartbeat.mkdir()
        case _:
            heartbeat.write_text("x" * 5000)
    with pytest.raises(ReloadError, match="cannot understand the answer of nginx's agent: heartbeat: "):
        await AgentFolder(agent.folder, clock).heartbeat()


@pytest.mark.parametrize("name", ["questions", "answers"])
async def test_link_instead_of_a_directory_is_refused(agent: PlayedAgent, clock: FakeClock, name: str) -> None:
    path = agent.folder / name
    path.rename(agent.folder / "elsewhere")
    path.symlink_to(agent.folder / "elsewhere")
    with pytest.raises(ReloadError, match=rf"through {path}: it is not a directory, or a symbolic link"):
        await AgentFolder(agent.folder, clock).ask("test")


async def test_missing_directory_is_an_error_that_names_the_volumes(folder: Path, clock: FakeClock) -> None:
    with pytest.raises(ReloadError, match=r"questions: No such file or directory\. Mount the volumes of nginx's agent"):
        await AgentFolder(folder, clock).heartbeat()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
async def test_answers_that_others_may_use_are_refused(agent: PlayedAgent, clock: FakeClock, mode: int) -> None:
    agent.answers.chmod(mode)
    with pytest.raises(ReloadError, match=rf"may use it \(mode {mode:04o}\)\. Run 'chmod 700 {agent.answers}'\."):
        await AgentFolder(agent.folder, clock).heartbeat()


@pytest.mark.root
async def test_answers_of_another_user_are_refused(agent: PlayedAgent, clock: FakeClock) -> None:
    os.chown(agent.answers, 65534, 65534)
    with pytest.raises(ReloadError, match=r"belongs to user .*, but this process runs as root"):
        await AgentFolder(agent.folder, clock).heartbeat()


async def test_questions_that_cannot_be_written_are_refused(clock: FakeClock) -> None:
    with shared_folder() as shared, as_unprivileged_user():
        (shared / "agent").mkdir()
        agent = PlayedAgent(shared / "agent")
        agent.questions.chmod(0o555)
        asked = AgentFolder(agent.folder, clock)
        async with playing(agent):
            with pytest.raises(ReloadError, match=r"questions: user .* may not write to it"):
                await asked.heartbeat()
            with pytest.raises(ReloadError, match=r"questions: Permission denied"):
                await asked.ask("test")
        agent.questions.chmod(0o755)
