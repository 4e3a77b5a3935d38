"""publish: tokens at a real responder, and what each failure says."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.responder.conftest import Running
from tests.responder.messages import KEY, NOW, OTHER_THUMBPRINT, THUMBPRINT, TOKEN
from wellkeeper_client.publish import ResponderControl, ResponderError
from wellkeeper_client.signing import Publication


def control(address: object, now: Callable[[], float] = lambda: NOW, timeout_seconds: float = 5.0) -> ResponderControl:
    return ResponderControl(str(address), KEY, now=now, timeout_seconds=timeout_seconds)


async def failure(work: Callable[[], object]) -> ResponderError:
    with pytest.raises(ResponderError) as caught:
        await asyncio.to_thread(work)
    return caught.value


@asynccontextmanager
async def raw_server(reply: bytes, delay_seconds: float = 0) -> AsyncIterator[str]:
    """Give the address of a server that answers one request with these bytes; wait until it has closed."""
    is_closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(delay_seconds)
        with suppress(ConnectionError):
            writer.write(reply)
            writer.close()
            await writer.wait_closed()
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


async def test_refusal_carries_status_problem_and_the_responders_words(running: Running) -> None:
    responder = control(running.control)
    error = await failure(lambda: responder.publish(TOKEN, OTHER_THUMBPRINT, "example.com"))
    assert (error.status, error.problem) == (403, "not-pinned")
    assert str(error).startswith(f"{running.control} refused with HTTP 403: ")
    early = control(running.control, now=lambda: NOW + 1200)
    assert (await failure(lambda: publish(early))).problem == "clock"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "unix:/nowhere/control.sock",
            "cannot reach unix:/nowhere/control.sock: No such file or directory; check",
        ),
        ("127.0.0.1:1", "cannot reach 127.0.0.1:1: Connection refused; check that wellkeeper-responder runs with"),
        ("127.0.0.1:port", "cannot reach 127.0.0.1:port: nonnumeric port: 'port'; check that"),
    ],
)
async def test_address_where_nobody_listens_is_named(address: str, words: str) -> None:
    assert words in str(await failure(lambda: publish(control(address))))


async def test_silence_ends_with_the_time_out() -> None:
    async with raw_server(b"", delay_seconds=0.3) as address:
        error = await failure(lambda: publish(control(address, timeout_seconds=0.1)))
    assert str(error) == f"{address} did not answer within 0.1 s; check the responder's log"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "took the token but is not a Wellkeeper responder"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "took the token but is not a Wellkeeper responder"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "took the token but is not a Wellkeeper responder"),
        (
            b"HTTP/1.1 502 Bad\r\nContent-Length: 1\r\n\r\nx",
            "refused with HTTP 502: no reason given; check the",
        ),
        (b"SSH-2.0-x\r\n", "cannot reach 127.0.0.1:"),
        (b"", "cannot reach 127.0.0.1:"),
    ],
    ids=["empty object", "list", "nested", "proxy", "another protocol", "nothing"],
)
async def test_whoever_answers_otherwise_is_not_believed(reply: bytes, words: str) -> None:
    async with raw_server(reply) as address:
        assert words in str(await failure(lambda: publish(control(address))))


def test_client_needs_the_standard_library_and_cryptography_only() -> None:
    folder = Path(__file__).resolve().parents[2] / "client"
    script = (
        "import sys, wellkeeper_client.publish\n"
        "found = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(*(name for name in found if not name.startswith('_')))"
    )
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{script}"]
    # Its environment could ask for more than the program does of itself, such as to measure its coverage.
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout
    assert set(loaded.split()) <= {"cryptography", "cffi", "wellkeeper_client"}
