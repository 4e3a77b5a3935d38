"""The responder as a process: signals, sockets, limits, and no file written."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from stand.processes import PROGRAMS, READY_SECONDS
from tests.processes import quickest
from tests.responder.http import Reply, ask, ask_until, connect, parse
from tests.responder.messages import KEY, THUMBPRINT, publication
from wellkeeper_client import wire
from wellkeeper_client.signing import encode_public_key, sign_publication
from wellkeeper_responder.capacity import MAX_CONTROL_CONNECTIONS, MAX_PUBLIC_CONNECTIONS
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

PYTHON = (sys.executable, "-B", "-m", "wellkeeper_responder")


@dataclass(frozen=True, slots=True)
class Process:
    process: asyncio.subprocess.Process
    public: UnixAddress
    control: UnixAddress

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Stop the process and return its exit code and the seconds it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = await self.process.wait()
        return code, time.monotonic() - started

    async def publish(self) -> str:
        token = secrets.token_urlsafe(32)
        message = sign_publication(publication(token, jti=secrets.token_urlsafe(16), issued_at=int(time.time())), KEY)
        headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
        reply = await ask(self.control, "PUT", wire.TOKENS_PREFIX + token, headers, message)
        assert reply.status == 201
        return token


def arguments(folder: Path) -> tuple[str, ...]:
    return (
        f"--public=unix:{folder}/public.sock",
        f"--control=unix:{folder}/control.sock",
        f"--publishing-key={encode_public_key(KEY.public_key())}",
        f"--account-thumbprint={THUMBPRINT}",
        "--log-format=json",
    )


@contextlib.asynccontextmanager
async def responder(folder: Path, *command: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(command or PYTHON), *arguments(folder), stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        event = json.loads(await asyncio.wait_for(process.stderr.readline(), READY_SECONDS))
        assert event["event"] == "start"
        yield Process(process, UnixAddress(folder / "public.sock"), UnixAddress(folder / "control.sock"))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _refused_start(folder: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(*PYTHON, *arguments(folder), stderr=asyncio.subprocess.PIPE)
    _, errors = await asyncio.wait_for(process.communicate(), READY_SECONDS)
    return process.returncode, errors.decode()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Process]:
    async with responder(tmp_path) as process:
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_the_responder_within_two_seconds_and_answers_polls(tmp_path: Path, number: int) -> None:
    async def stop() -> float:
        async with responder(tmp_path) as running:
            poll = asyncio.create_task(ask(running.control, "GET", f"{wire.FETCHES_PATH}?wait=60"))
            await ask_until(running.control, wire.STATUS_PATH, lambda reply: _polls(reply) == 1)
            code, seconds = await running.stop(number)
            assert code == 0
            assert (await poll).status == 200
            assert not running.public.path.exists()
            assert not running.control.path.exists()
        return seconds

    assert await quickest(stop, below=2) < 2


def _polls(reply: Reply) -> int:
    return int(reply.json()["counts"]["waiting_polls"])


async def test_unfinished_request_does_not_delay_the_stop(tmp_path: Path) -> None:
    async def stop() -> float:
        async with responder(tmp_path) as running:
            _, in_header = await connect(running.public)
            in_header.write(b"GET / HTTP/1.1\r\n")
            _, in_body = await connect(running.control)
            head = f"PUT {wire.TOKENS_PREFIX}{'x' * 43} HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose\r\n"
            in_body.write(head.encode() + b"Content-Length: 100\r\n\r\nabc")
            await in_body.drain()
            # This reply proves that both were read, because one event loop reads in turn.
            assert (await ask(running.control, "GET", wire.HEALTH_PATH)).status == 200
            code, seconds = await running.stop()
            assert code == 0
            in_header.close()
            in_body.close()
        return seconds

    assert await quickest(stop, below=2) < 2


async def test_second_responder_is_refused_and_the_first_continues(running: Process, tmp_path: Path) -> None:
    code, errors = await _refused_start(tmp_path)
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert "another process is listening there" in errors
    assert (await ask(running.control, "GET", wire.HEALTH_PATH)).status == 200


async def test_sockets_of_a_killed_responder_are_replaced(tmp_path: Path) -> None:
    async with responder(tmp_path) as killed:
        await killed.stop(signal.SIGKILL)
        assert killed.public.path.exists()
    async with responder(tmp_path) as running:
        token = await running.publish()
        assert (await ask(running.public, "GET", wire.CHALLENGE_PREFIX + token)).status == 200


@pytest.mark.parametrize("start", [(PROGRAMS / "wellkeeper-responder",), PYTHON], ids=["program", "module"])
async def test_health_check_is_a_command(running: Process, start: Sequence[str | Path]) -> None:
    command = (*start, "--check-health", f"--control={running.control}")
    assert await (await asyncio.create_subprocess_exec(*command)).wait() == 0
    await running.stop()
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"no healthy responder" in errors


async def test_poll_without_a_fetch_is_answered_empty(running: Process) -> None:
    reply = await ask(running.control, "GET", f"{wire.FETCHES_PATH}?after=0&wait=1")
    assert (reply.status, reply.json()["fetches"]) == (200, [])


@pytest.mark.parametrize(("parser", "status"), [("compiled", 408), ("plain", 400)])
async def test_message_in_broken_chunks_is_refused(tmp_path: Path, parser: str, status: int) -> None:
    """Accept both parsers of aiohttp: the Python one refuses at once, the compiled one sends nothing more."""
    environment = ("env", "AIOHTTP_NO_EXTENSIONS=1") if parser == "plain" else ("env",)
    async with responder(tmp_path, *environment, *PYTHON) as running:
        reader, writer = await connect(running.control)
        head = f"PUT {wire.TOKENS_PREFIX}{'x' * 43} HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose\r\n"
        writer.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        # This reply proves that the head was read, because one event loop reads in turn.
        assert (await ask(running.control, "GET", wire.HEALTH_PATH)).status == 200
        writer.write(b"no chunk\r\n")
        answer = await reader.read()
        writer.close()
        assert parse(answer).status == status


@pytest.mark.parametrize(
    ("kind", "limit"), [("public", MAX_PUBLIC_CONNECTIONS // 2), ("control", MAX_CONTROL_CONNECTIONS)]
)
async def test_full_listener_closes_the_connection_that_was_idle_longest(
    running: Process, kind: str, limit: int
) -> None:
    full = running.public if kind == "public" else running.control
    held = [await connect(full) for _ in range(limit)]
    assert (await ask(full, "GET", "/nothing")).status == 404
    assert await held[0][0].read() == b""
    assert not held[-1][0].at_eof()
    metrics = (await ask(running.control, "GET", wire.METRICS_PATH)).body.decode()
    assert f'wellkeeper_connections_closed_total{{listener="{kind}"}} ' in metrics
    for _, writer in held:
        writer.close()


async def test_socket_never_has_a_wider_mode_than_its_final_one(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=fchmod,bind,chmod,fchmodat,?fchmodat2,listen"
    strace = ("sh", "-c", 'umask 077; exec "$@"', "-", "strace", "-f", "-qq", "-e", calls, "-o", str(trace))
    async with responder(tmp_path, *strace, *PYTHON) as running:
        await _stop_traced(running, trace)
    names = re.findall(r"^\d+ +(fchmod|bind|chmod|listen)(?:at2?)?\(", trace.read_text(), re.MULTILINE)
    # Before it has a name; and no client can connect before it listens. A change afterwards would follow a link.
    assert names[:3] == ["fchmod", "bind", "listen"]
    assert sorted(names) == sorted(2 * ["fchmod", "bind", "listen", "listen"])
    assert re.findall(r"fchmod\(\d+, (0\d+)\)", trace.read_text()) == ["0666", "0660"]


def _traced(trace: Path) -> int:
    return int(trace.read_text().split(maxsplit=1)[0])


async def _stop_traced(running: Process, trace: Path) -> None:
    """Stop the traced program, the first one under strace; strace itself would only detach from it."""
    os.kill(_traced(trace), signal.SIGTERM)
    assert await running.process.wait() == 0


async def test_no_file_is_opened_for_writing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    # The inherited environment could add more, for example to measure coverage.
    bare = ("env", "-i", f"PATH={os.environ['PATH']}")
    strace = ("strace", "-f", "-qq", "-e", "trace=open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2")
    async with responder(tmp_path, *bare, *strace, "-o", str(trace), *PYTHON) as running:
        token = await running.publish()
        assert (await ask(running.public, "GET", wire.CHALLENGE_PREFIX + token)).status == 200
        for path in (wire.FETCHES_PATH, wire.METRICS_PATH, wire.STATUS_PATH):
            assert (await ask(running.control, "GET", path)).status == 200
        await _stop_traced(running, trace)
    calls = trace.read_text().splitlines()
    assert any(
        "/wellkeeper_responder/__pycache__/tokens" in call or "/wellkeeper_responder/tokens.py" in call
        for call in calls
    )
    writing = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|\b(creat|mkdir|mkdirat|rename\w*)\(")
    assert [call for call in calls if writing.search(call)] == []
