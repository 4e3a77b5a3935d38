"""Both sides of the daemon's socket, over real sockets."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from wellkeeper_issuer.errors import DaemonError, JournalError, SettingsError
from wellkeeper_issuer.outside.daemon.client import conversation
from wellkeeper_issuer.outside.daemon.server import Handler, Tell, daemon_socket
from wellkeeper_issuer.outside.daemon.socket import LONGEST_LINE, Message, socket_path
from wellkeeper_node.errors import Retry


def no_events(message: Message) -> None:
    raise AssertionError(message)


class Work:
    """A handler that reports two events, waits for `released` between them, and answers."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.released = asyncio.Event()
        self.ended = asyncio.Event()
        self.requests: list[Message] = []

    async def __call__(self, request: Message, tell: Tell) -> Message:
        self.requests.append(request)
        tell({"event": "started"})
        self.started.set()
        try:
            await self.released.wait()
            tell({"event": "finished"})
            return {"answer": request.get("value", 42)}
        finally:
            self.ended.set()


@pytest.fixture
def path(folder: Path) -> Path:
    return socket_path(folder)


async def ask(path: Path, reported: Callable[[Message], None] = no_events, **request: object) -> object:
    async with conversation(path) as daemon:
        assert daemon is not None
        return await daemon.ask(request, reported)


def raising(error: Exception) -> Mapping[str, Handler]:
    async def handler(_request: Message, _tell: Tell) -> Message:
        raise error

    return {"renew": handler}


async def echo(request: Message, _tell: Tell) -> Message:
    return request


@asynccontextmanager
async def raw(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 26)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_request_is_answered_after_its_events(path: Path) -> None:
    work, events = Work(), list[Message]()
    work.released.set()
    async with daemon_socket(path, {"renew": work}):
        assert await ask(path, events.append, command="renew", value="ü") == {"answer": "ü"}
    assert events == [{"event": "started"}, {"event": "finished"}]
    assert work.requests == [{"command": "renew", "value": "ü"}]


async def test_socket_is_owner_only_and_removed_with_the_daemon(path: Path) -> None:
    async with daemon_socket(path, {}):
        mode = os.stat(path).st_mode  # noqa: PTH116 - quick enough
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert os.listdir(path.parent) == []  # noqa: PTH208


async def test_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with conversation(path) as daemon:
        assert daemon is None
    async with daemon_socket(path, {"renew": echo}):
        assert await ask(path, command="renew") == {"command": "renew"}


async def test_missing_daemon_is_not_an_error(path: Path) -> None:
    async with conversation(path) as daemon:
        assert daemon is None


async def test_failure_to_create_the_socket_is_reported(folder: Path) -> None:
    with pytest.raises(
        DaemonError,
        match=r"cannot create the daemon's socket .*/gone/daemon\.sock: No such file or directory\. Make sure",
    ):
        async with daemon_socket(folder / "gone/daemon.sock", {}):
            pass


async def test_unreachable_socket_is_reported() -> None:
    with pytest.raises(
        DaemonError, match=r"cannot reach the daemon at .*: Not a directory\. Run the command with sudo, or"
    ):
        async with conversation(Path("/dev/null/daemon.sock")):
            pass


def test_overlong_socket_path_is_refused() -> None:
    folder = Path("/" + "a" * 94)
    assert len(str(socket_path(folder))) == 107
    with pytest.raises(SettingsError, match=r"state_dir = '/a+' is too long: .* 108 bytes, the maximum is 107"):
        socket_path(Path("/" + "a" * 95))


async def test_unknown_command_is_refused_with_the_known_ones(path: Path) -> None:
    async with daemon_socket(path, {"renew": echo, "reload": echo}):
        with pytest.raises(DaemonError, match="unknown command 'stop': known commands are renew, reload"):
            await ask(path, command="stop")
        with pytest.raises(DaemonError, match="unknown command None"):
            await ask(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{\n", "is not JSON"),
        (b"[]\n", "is not a JSON object: b'[]"),
        (b"\xff\n", "is not JSON"),
        (b"x" * (LONGEST_LINE + 1) + b"\n", f"is too long (a request has {LONGEST_LINE} bytes"),
    ],
    ids=["broken", "list", "not text", "too long"],
)
async def test_invalid_request_line_is_refused(path: Path, line: bytes, words: str) -> None:
    async with daemon_socket(path, {"renew": echo}), raw(path) as (reader, writer):
        writer.write(line)
        assert words in json.loads(await reader.readline())["error"]


async def test_daemon_survives_clients_that_disconnect_early(path: Path) -> None:
    async with daemon_socket(path, {"renew": echo}):
        async with raw(path):
            pass
        async with raw(path) as (_, writer):
            writer.write(b'{"command": "ren')
        assert await ask(path, command="renew") == {"command": "renew"}


async def test_work_continues_when_its_client_disconnects(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    async with daemon_socket(path, {"renew": work, "echo": echo}):
        async with raw(path) as (_, writer):
            writer.write(b'{"command": "renew"}\n')
            await work.started.wait()
        await ask(path, command="echo")
        assert not work.ended.is_set()
        work.released.set()
        await work.ended.wait()
    assert caplog.records == []  # the disconnection is not an error either


async def test_clients_are_served_at_the_same_time(path: Path) -> None:
    work, events = Work(), list[Message]()
    async with daemon_socket(path, {"renew": work, "echo": echo}):
        first = asyncio.create_task(ask(path, events.append, command="renew", value=1))
        second = asyncio.create_task(ask(path, events.append, command="renew", value=2))
        await work.started.wait()
        assert await ask(path, command="echo") == {"command": "echo"}
        work.released.set()
        assert (await first, await second) == ({"answer": 1}, {"answer": 2})


async def test_client_that_does_not_read_does_not_delay_others(path: Path) -> None:
    async def talk(_request: Message, tell: Tell) -> Message:
        for number in range(30_000):
            tell({"number": number, "filling": "x" * 100})
        return {}

    async with daemon_socket(path, {"talk": talk, "echo": echo}), raw(path) as (reader, writer):
        writer.write(b'{"command": "talk"}\n')
        assert await ask(path, command="echo") == {"command": "echo"}
        lines = [json.loads(await reader.readline())]
        while "result" not in lines[-1]:
            lines.append(json.loads(await reader.readline()))
    numbers = [line["number"] for line in lines if "number" in line]
    assert numbers == list(range(len(numbers)))
    assert lines[-2] == {"event": "left out", "count": 30_000 - len(numbers)}


async def test_settings_error_keeps_its_type(path: Path) -> None:
    async with daemon_socket(path, raising(SettingsError("issuer.toml:3: bad"))):
        with pytest.raises(SettingsError, match=r"^issuer\.toml:3: bad$"):
            await ask(path, command="renew")


async def test_other_errors_keep_their_retry_decision(path: Path) -> None:
    async with daemon_socket(path, raising(JournalError("disk full", retry=Retry.LATER))):
        with pytest.raises(DaemonError, match=r"^disk full$") as caught:
            await ask(path, command="renew")
    assert caught.value.retry is Retry.LATER


async def test_defect_in_a_request_is_logged_and_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with daemon_socket(path, raising(ZeroDivisionError("x"))):
        with pytest.raises(DaemonError, match=r"^unexpected error: ZeroDivisionError\('x'\)\. Please report"):
            await ask(path, command="renew")
    assert "unexpected error in a request; please report it" in caplog.text


async def test_stopping_the_daemon_ends_the_work_and_informs_its_client(path: Path) -> None:
    work, events = Work(), list[Message]()
    async with daemon_socket(path, {"renew": work}):
        asked = asyncio.create_task(ask(path, events.append, command="renew"))
        await work.started.wait()
    assert work.ended.is_set()
    with pytest.raises(DaemonError, match=r"the daemon is stopping. The next run resumes"):
        await asked


async def test_killed_daemon_is_reported(path: Path) -> None:
    async def die(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(die, path)
    try:
        with pytest.raises(DaemonError, match=r"the daemon ended before it answered. Read .+ to see why\."):
            await ask(path, command="renew")
    finally:
        server.close()


async def test_only_root_and_the_same_user_may_send_requests(path: Path) -> None:
    async with daemon_socket(path, {"renew": echo}, frozenset({os.geteuid() + 1})):
        with pytest.raises(DaemonError, match=rf"refused the request of uid {os.geteuid()}\. Run the command with"):
            await ask(path, command="renew")


async def test_directory_that_others_may_write_is_refused(path: Path) -> None:
    async with daemon_socket(path, {"renew": echo}):
        path.parent.chmod(0o777)
        with pytest.raises(
            DaemonError, match=rf"cannot trust the daemon at {path}: every user may write to {path.parent}"
        ):
            await ask(path, command="renew")
        path.parent.chmod(0o700)
