"""wellkeeper-publish: at a real responder, with a small server in place of nginx."""

import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.responder.conftest import Running
from tests.responder.http import ask
from tests.responder.messages import KEY, NOW, OTHER_THUMBPRINT, OTHER_TOKEN, THUMBPRINT, TOKEN, publication
from tests.unprivileged import as_unprivileged_user
from wellkeeper_client import wire
from wellkeeper_client.publish_command import run

_AUTHORIZATION = f"{TOKEN}.{THUMBPRINT}"


@dataclass(frozen=True)
class Program:
    """The command with its key, for one responder and one nginx."""

    key: Path
    control: object
    through: str

    async def run(self, *arguments: str, stdin: str = "") -> int:
        options = ("--key", str(self.key), "--control", str(self.control), "--through", self.through)
        return await asyncio.to_thread(run, [*options, *arguments], io.StringIO(stdin), lambda: NOW)


@asynccontextmanager
async def _nginx(reply: bytes | None, running: Running) -> AsyncIterator[str]:
    """Give the address of a server that passes requests to the responder, or has its own reply."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head)
        found = reply
        if found is None:
            asked = await ask(running.public, "GET", head.split()[1], {wire.READ_BACK_HEADER: "1"})
            found = b"HTTP/1.1 %d X\r\n\r\n%s" % (asked.status, asked.body)
        writer.write(found)
        writer.close()
        await writer.wait_closed()

    seen: list[str] = []
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert all("Host: example.com\r\n" in head and wire.READ_BACK_HEADER in head for head in seen)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
async def program(running: Running, key: Path) -> AsyncIterator[Program]:
    async with _nginx(None, running) as through:
        yield Program(key, running.control, through)


async def test_token_is_served_until_another_process_withdraws_it(running: Running, program: Program) -> None:
    assert await program.run("Example.com.", _AUTHORIZATION) == 0
    assert (await running.get(TOKEN)).body == _AUTHORIZATION.encode()
    assert await program.run("--withdraw", TOKEN) == 0
    assert (await running.get(TOKEN)).status == 404
    assert await program.run("--withdraw", _AUTHORIZATION) == 0


async def test_token_that_looks_like_an_option_is_published_and_withdrawn(running: Running, program: Program) -> None:
    token = f"-h{TOKEN[2:]}"
    assert await program.run("example.com", f"{token}.{THUMBPRINT}") == 0
    assert (await running.get(token)).status == 200
    assert await program.run("--withdraw", token) == 0
    assert (await running.get(token)).status == 404


async def test_same_challenge_can_be_published_again(running: Running, program: Program) -> None:
    for _ in range(2):
        assert await program.run("example.com", _AUTHORIZATION) == 0
    assert await program.run("--withdraw", TOKEN) == 0
    assert await program.run("example.com", _AUTHORIZATION) == 0
    assert (await running.get(TOKEN)).status == 200


async def test_twenty_publications_at_the_same_time_are_all_answered(running: Running, program: Program) -> None:
    results = await asyncio.gather(*(program.run("example.com", _AUTHORIZATION) for _ in range(20)))
    assert results == [0] * 20
    assert (await running.get(TOKEN)).status == 200


async def test_dash_reads_the_key_authorization_from_standard_input(running: Running, program: Program) -> None:
    assert await program.run("example.com", "-", stdin=f"{_AUTHORIZATION}\n") == 0
    assert (await running.get(TOKEN)).status == 200


async def test_account_that_is_not_pinned_is_refused_with_its_thumbprint_and_the_remedy(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await program.run("example.com", f"{TOKEN}.{OTHER_THUMBPRINT}") == 1
    what, why, remedy = capsys.readouterr().err.splitlines()
    assert what == "wellkeeper-publish: cannot publish the token for example.com"
    assert OTHER_THUMBPRINT in why
    assert "'wellkeeper trust --account-key FILE --write'" in remedy


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 404 X\r\nWellkeeper-Upstream: 502\r\n\r\n", "nginx cannot reach the responder's socket"),
        (b"HTTP/1.1 404 X\r\n\r\nno such token\n", "nginx asks another responder"),
        (b"HTTP/1.1 404 X\r\n\r\n<html>", "it answers HTTP 404"),
        (b"HTTP/1.1 200 X\r\n\r\n<html>", "it answers '<html>'"),
        (b"", "the request failed: "),
    ],
    ids=["no responder", "another responder", "no location", "a page", "nothing"],
)
async def test_token_that_nginx_does_not_serve_is_withdrawn_and_explained(
    running: Running, key: Path, capsys: pytest.CaptureFixture[str], reply: bytes, words: str
) -> None:
    async with _nginx(reply, running) as through:
        assert await Program(key, running.control, through).run("example.com", _AUTHORIZATION) == 1
    what, why, remedy = capsys.readouterr().err.splitlines()
    assert what == f"wellkeeper-publish: nginx at {through} does not serve the token for example.com"
    assert words in why
    assert remedy.endswith(".")
    assert (await running.get(TOKEN)).status == 404


async def test_port_that_expects_the_proxy_protocol_is_greeted(
    running: Running, program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"PROXY UNKNOWN\r\n":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 X\r\n\r\n" + (await running.get(TOKEN)).body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        through = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await replace(program, through=f"proxy:{through}").run("example.com", _AUTHORIZATION) == 0
        assert await replace(program, through=through).run("example.com", _AUTHORIZATION) == 1
    remedy = "  If this port expects the PROXY protocol, name it with --through proxy:HOST:PORT."
    assert capsys.readouterr().err.splitlines()[2] == remedy


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_command_that_is_stopped_while_it_reads_back_withdraws(
    running: Running, key: Path, number: signal.Signals
) -> None:
    running.clock.step(time.time() - NOW)
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        through = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        options = ("--control", str(running.control), "--key", str(key), "--through", through)
        command = (sys.executable, "-m", "wellkeeper_client.publish_command", *options, "example.com", _AUTHORIZATION)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        await asked.wait()
        assert (await running.get(TOKEN)).status == 200
        process.send_signal(number)
        _, reported = await process.communicate()
        assert reported == b""
        assert process.returncode == 128 + number
    assert (await running.get(TOKEN)).status == 404


async def test_responder_that_is_down_is_an_error_of_both_commands(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    down = Program(program.key, "127.0.0.1:1", program.through)
    assert await down.run("example.com", _AUTHORIZATION) == 1
    assert await down.run("--withdraw", TOKEN) == 1
    assert capsys.readouterr().err.count("cannot reach 127.0.0.1:1") == 2


async def test_token_that_another_program_published_can_be_withdrawn(running: Running, program: Program) -> None:
    await running.publish(publication(token=OTHER_TOKEN))
    assert await program.run("--withdraw", OTHER_TOKEN) == 0
    assert (await running.get(OTHER_TOKEN)).status == 404


async def test_process_takes_its_options_from_the_environment(running: Running, program: Program) -> None:
    options = {"CONTROL": str(running.control), "KEY": str(program.key), "THROUGH": program.through}
    environment = os.environ | {f"WELLKEEPER_PUBLISH_{name}": value for name, value in options.items()}
    running.clock.step(time.time() - NOW)
    command = (sys.executable, "-m", "wellkeeper_client.publish_command", "example.com", _AUTHORIZATION)
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await process.wait() == 0
    assert (await running.get(TOKEN)).status == 200


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("example.com",),
        ("example.com", "short.thumbprint"),
        ("example.com", TOKEN),
        ("exämple.com", _AUTHORIZATION),
        ("*.example.com", _AUTHORIZATION),
        ("http://example.com", _AUTHORIZATION),
        ("--withdraw", "short"),
        ("--withdraw", TOKEN, "example.com"),
        ("--watch", ""),
        ("--key", "", "example.com", _AUTHORIZATION),
        ("--watch", "/nonexistent"),
        ("--watch", "/", "--withdraw", TOKEN),
        ("--watch", "/", "example.com", _AUTHORIZATION),
        ("--watch", "/", "exämple.com"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(arguments, io.StringIO())
    assert caught.value.code == 2
    assert "usage: wellkeeper-publish" in capsys.readouterr().err


def test_directory_out_of_reach_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with as_unprivileged_user(), pytest.raises(SystemExit) as caught:
        run(["--watch", str(tmp_path / "closed/webroot")], io.StringIO())
    assert caught.value.code == 2
    assert "webroot is not a directory" in capsys.readouterr().err


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--version"], io.StringIO())
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"wellkeeper-publish, version {metadata.version('wellkeeper')}\n"


def test_key_that_cannot_be_used_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    account, junk, shared = tmp_path / "account.pem", tmp_path / "junk.pem", tmp_path / "shared.pem"
    account.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    junk.write_text("junk")
    shared.write_text("")
    shared.chmod(0o666)
    for path, words in (
        (account, "it is not an Ed25519 key"),
        (junk, "it is not an unencrypted PEM key"),
        (shared, "every user may write to"),
        (tmp_path / "none.pem", "No such file or directory"),
    ):
        assert run(["--key", str(path), "example.com", _AUTHORIZATION], io.StringIO()) == 1
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == f"wellkeeper-publish: cannot use publishing key {path}"
        assert words in lines[1]
        assert len(lines) == 3
