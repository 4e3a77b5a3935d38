"""publish: tokens at a real responder, and the message of each failure."""

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.responder.conftest import Running
from tests.responder.messages import KEY, NOW, OTHER_THUMBPRINT, THUMBPRINT, TOKEN
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_client.publish import ResponderControl, ResponderError
from wellkeeper_client.signing import Publication

PUBLICATION = Publication(TOKEN, THUMBPRINT, "example.com", "p-0000000000000001", NOW, NOW + 600)


def control(address: object, now: Callable[[], float] = lambda: NOW, timeout_seconds: float = 5.0) -> ResponderControl:
    return ResponderControl(str(address), KEY, now=now, timeout_seconds=timeout_seconds)


async def failure(work: Callable[[], object]) -> ResponderError:
    with pytest.raises(ResponderError) as caught:
        await asyncio.to_thread(work)
    return caught.value


@asynccontextmanager
async def raw_server(reply: bytes, may_answer: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Give the address of a server that answers one request with these bytes; wait until it has closed."""
    is_closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Read all of the request: closing a socket with unread bytes resets the connection before the reply is read.
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # the client may have given up
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            if may_answer:
                await may_answer.wait()
            writer.write(reply)
            writer.close()
            await writer.wait_closed()
        writer.close()
        is_closed.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await is_closed.wait()


def publish(responder: ResponderControl) -> Publication:
    return responder.publish(TOKEN, THUMBPRINT, "example.com")


@pytest.mark.parametrize("listener", ["control", "control_over_tcp"])
async def test_token_is_answered_until_it_is_withdrawn(running: Running, listener: str) -> None:
    responder = control(getattr(running, listener))
    publication = await asyncio.to_thread(publish, responder)
    assert (publication.token, publication.lifetime_seconds) == (TOKEN, 600)
    assert (await running.get(TOKEN)).body == publication.key_authorization.encode()
    assert (await asyncio.to_thread(responder.status))["counts"]["tokens"] == 1
    for _ in range(2):
        await asyncio.to_thread(responder.withdraw, publication)
        assert (await running.get(TOKEN)).status == 404


async def test_withdrawing_an_older_publication_leaves_the_newer_one(running: Running) -> None:
    responder = control(running.control)
    older = await asyncio.to_thread(publish, responder)
    await asyncio.to_thread(publish, responder)
    await asyncio.to_thread(responder.withdraw, older)
    assert (await running.get(TOKEN)).status == 200


async def test_refusal_carries_status_problem_and_the_responders_detail(running: Running) -> None:
    responder = control(running.control)
    error = await failure(lambda: responder.publish(TOKEN, OTHER_THUMBPRINT, "example.com"))
    assert (error.status, error.problem) == (403, "not-pinned")
    assert str(error).startswith(f"{running.control} refused the request: HTTP 403: ")
    early = control(running.control, now=lambda: NOW + 1200)
    assert (await failure(lambda: publish(early))).problem == "clock"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "unix:/nowhere/control.sock",
            "cannot reach unix:/nowhere/control.sock: No such file or directory. Check",
        ),
        ("127.0.0.1:1", "cannot reach 127.0.0.1:1: Connection refused. Check that wellkeeper-responder runs with"),
        ("127.0.0.1:port", "cannot reach 127.0.0.1:port: nonnumeric port: 'port'. Check that"),
    ],
)
async def test_error_names_the_unreachable_address(address: str, words: str) -> None:
    assert words in str(await failure(lambda: publish(control(address))))


@pytest.mark.root
def test_user_who_may_not_connect_learns_how() -> None:
    with shared_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = folder / "run/control.sock"
        path.parent.mkdir(mode=0o755)
        listener.bind(str(path))
        path.chmod(0o600)
        with as_unprivileged_user(), pytest.raises(ResponderError) as caught:
            control(f"unix:{path}").status()
    assert caught.value.why == f"cannot reach unix:{path}: Permission denied"
    assert caught.value.remedy.endswith("or start wellkeeper-responder with --control-mode 0666.")


async def test_silent_server_times_out() -> None:
    may_answer = asyncio.Event()
    async with raw_server(b"", may_answer) as address:
        error = await failure(lambda: publish(control(address, timeout_seconds=0.1)))
        may_answer.set()
    assert str(error) == f"{address} did not answer within 0.1 s. Check the responder's log."


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "is not a Wellkeeper responder, or its reply was cut short",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
            "is not a Wellkeeper responder, or its reply was cut short",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "is not a Wellkeeper responder, or its reply was cut short"),
        (
            b"HTTP/1.1 502 Bad\r\nContent-Length: 1\r\n\r\nx",
            "refused the request: HTTP 502 without a reason. Check the",
        ),
        (b"SSH-2.0-x\r\n", "is not a Wellkeeper responder: its reply is not HTTP"),
        (b"", "cannot reach 127.0.0.1:"),
    ],
    ids=["empty object", "list", "nested", "proxy", "another protocol", "nothing"],
)
async def test_unexpected_replies_are_refused(reply: bytes, words: str) -> None:
    async with raw_server(reply) as address:
        assert words in str(await failure(lambda: publish(control(address))))


@pytest.mark.parametrize(
    "call", [ResponderControl.status, lambda one: one.withdraw(PUBLICATION)], ids=["status", "withdraw"]
)
async def test_page_of_a_web_server_is_not_a_success(call: Callable[[ResponderControl], object]) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html/>") as address:
        error = await failure(lambda: call(control(address)))
    assert str(error) == f"{address} is not a Wellkeeper responder, or its reply was cut short. Check the address."


async def test_quoted_reply_is_short_and_printable() -> None:
    body = json.dumps({"type": 5, "detail": "no\x1b[2J\nWARNING " + "x" * 5000}).encode()
    reply = b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with raw_server(reply) as address:
        error = await failure(lambda: publish(control(address)))
    assert error.problem is None
    assert str(error).startswith(f"{address} refused the request: HTTP 400: no [2J WARNING xxx")
    assert len(str(error)) < 1100


async def test_trickling_reply_times_out() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # the client may have given up
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not is_over.is_set():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.close()
            await writer.wait_closed()
        is_closed.set()

    is_over, is_closed = asyncio.Event(), asyncio.Event()
    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await failure(lambda: publish(control(address, timeout_seconds=0.3)))
        is_over.set()
        await is_closed.wait()
    assert str(error) == f"{address} did not answer within 0.3 s. Check the responder's log."


def test_client_needs_only_the_standard_library_and_cryptography() -> None:
    folder = Path(__file__).resolve().parents[2] / "client"
    script = (
        "import sys; before = set(sys.modules)\n"
        "import wellkeeper_client.publish\n"
        "loaded = set(sys.modules) - before\n"
        "found = {name.partition('.')[0] for name in loaded} - set(sys.stdlib_module_names)\n"
        "print(*(name for name in found if not name.startswith('_')))"
    )
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{script}"]
    # The inherited environment could load more, for example to measure coverage.
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout
    assert set(loaded.split()) <= {"cryptography", "cffi", "wellkeeper_client"}


def test_directory_of_a_socket_that_others_may_write_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    run.chmod(0o777)
    with pytest.raises(
        ResponderError, match=rf"^cannot trust unix:{run}/c\.sock: every user may write to {run} .*chmod go-w"
    ):
        publish(control(f"unix:{run}/c.sock"))
