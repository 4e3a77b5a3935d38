"""A request to the status endpoint, and to what may be in its place."""

import asyncio
from pathlib import Path

import pytest

from stand.ports import free_port
from tests.issuer.outside.web.test_site import page
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.web.asking import Answer, ask
from wellkeeper_issuer.outside.web.listener import listening
from wellkeeper_issuer.outside.web.site import Site

SITE = Site({"/healthz": page}, ["localhost"])


async def answering(folder: Path, reply: bytes) -> Answer:
    """Ask a server with this reply."""
    is_closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        if not reply:
            await reader.read()
        writer.close()
        await writer.wait_closed()
        is_closed.set()

    async with await asyncio.start_unix_server(serve, folder / "s"):
        try:
            return await ask(folder / "s", 20 if reply else 0.1)
        finally:
            await is_closed.wait()


async def test_our_endpoint_is_known_at_each_kind_of_address(folder: Path) -> None:
    async with listening(SITE, folder / "s"):
        assert (await ask(folder / "s")).is_ours
    for host in ("127.0.0.1", "::1", "0.0.0.0"):  # noqa: S104 - the test of that
        port = free_port()
        async with listening(SITE, (host, port)):
            assert (await ask((host, port))).is_ours


async def test_other_program_is_named(folder: Path) -> None:
    answer = await answering(folder, b"HTTP/1.1 200 OK\r\nServer: ngi\x1b[31mnx\r\nContent-Length: 0\r\n\r\n")
    assert not answer.is_ours
    assert answer.status == 200
    assert "\x1b" not in answer.server


@pytest.mark.parametrize(
    ("reply", "words"),
    [(b"SSH-2.0-OpenSSH\r\n\r\n", "its answer is not valid HTTP"), (b"", "it did not answer within 0.1 s")],
    ids=["no HTTP", "silence"],
)
async def test_what_is_no_answer_is_an_error(folder: Path, reply: bytes, words: str) -> None:
    with pytest.raises(DaemonError, match=words):
        await answering(folder, reply)


async def test_nothing_listens(folder: Path) -> None:
    with pytest.raises(DaemonError, match=f"no answer from unix:{folder}/s: No such file"):
        await ask(folder / "s")
    with pytest.raises(DaemonError, match="no answer from 127"):
        await ask(("127.0.0.1", free_port()))
