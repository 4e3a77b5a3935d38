"""Connections that keep others out: every publication and every answer comes through, for `--attack-seconds` each."""

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from stand.ports import free_port
from stand.processes import PROJECT, READY_SECONDS, accepts_unix
from tests.integration import idle_clients
from tests.integration.test_responder_process import PYTHON, arguments
from tests.responder.http import ask
from tests.responder.messages import KEY, publication
from wellkeeper_client import wire
from wellkeeper_client.signing import sign_publication
from wellkeeper_responder.capacity import MAX_PUBLIC_CONNECTIONS
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

ATTACKER: Final = 65534
OTHER_ATTACKER: Final = 65533
SLOW_BODY: Final = (
    f"PUT {wire.TOKENS_PREFIX}{'x' * 43} HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose\r\n"
    "Content-Length: 100\r\n\r\nabc"
).encode()
HALF_A_HEADER: Final = b"GET / HTTP/1.1\r\nX-Slow: "
ONE_REQUEST: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER_SECONDS: Final = 4.0
# As many certificates as an issuer renews at once; each attempt mostly waits behind the attackers.
CLIENTS: Final = 8
FEW_CLIENTS: Final = 2  # where a listener has room for a few connections
LEAST_ATTEMPTS: Final = 24
FEW_LINES: Final = 200


class Responder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tcp = f"127.0.0.1:{free_port()}"
        self.public = UnixAddress(folder / "public.sock")
        self.control = UnixAddress(folder / "control.sock")
        self.log = folder / "log"
        self.attempts = 0
        self.failures: list[str] = []

    @asynccontextmanager
    async def run(self, prefix: Sequence[str]) -> AsyncIterator[None]:
        with self.log.open("wb") as log:
            command = (*prefix, *PYTHON, *arguments(self.folder), f"--control={self.tcp}", "--control-mode=0666")
            process = await asyncio.create_subprocess_exec(*command, stderr=log)
            try:
                async with asyncio.timeout(READY_SECONDS):
                    while not await accepts_unix(self.control.path):  # noqa: ASYNC110 - another process's
                        await asyncio.sleep(0.05)
                yield
            finally:
                process.terminate()
                await process.wait()

    @asynccontextmanager
    async def idle(self, count: int, address: str, words: bytes, uid: int) -> AsyncIterator[None]:
        """So many connections of another process, and of another user if we are root."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", idle_clients.__name__, str(count), address, words.hex(), str(uid)),
            stdout=asyncio.subprocess.PIPE,
            cwd=PROJECT,
        )
        try:
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), READY_SECONDS) == b"open\n"
            yield
        finally:
            process.kill()
            await process.wait()

    async def held(self) -> float:
        """The connections to the public socket, as the metrics have them."""
        metrics = (await ask(self.control, "GET", wire.METRICS_PATH)).body.decode()
        prefix = 'wellkeeper_connections{listener="public"} '
        (found,) = (line for line in metrics.splitlines() if line.startswith(prefix))
        return float(found.removeprefix(prefix))

    async def publish_and_ask(self) -> None:
        """One publication and one answer, each within the time that a CA or an issuer waits."""
        self.attempts += 1
        made = publication(secrets.token_urlsafe(32), jti=secrets.token_urlsafe(16), issued_at=int(time.time()))
        headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
        message = sign_publication(made, KEY)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                put = await ask(self.control, "PUT", wire.TOKENS_PREFIX + made.token, headers, message)
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await ask(self.public, "GET", wire.CHALLENGE_PREFIX + made.token)
        except (TimeoutError, OSError, IndexError, ValueError) as error:
            self.failures.append(repr(error))
            return
        if (put.status, found.status) != (201, 200):
            self.failures.append(f"{put.status} {found.status}")


Holding = Callable[[Responder], Sequence[tuple[int, str, bytes, int]]]
# Connections, where, what each says, and the user.
ATTACKS: Final[dict[str, Holding]] = {
    "idle on control": lambda one: [(64, str(one.control.path), b"", ATTACKER)],
    "idle after a request on control": lambda one: [(100, str(one.control.path), ONE_REQUEST, ATTACKER)],
    "slow bodies on control": lambda one: [(100, str(one.control.path), SLOW_BODY, ATTACKER)],
    "slow headers on control": lambda one: [(100, str(one.control.path), HALF_A_HEADER, ATTACKER)],
    "idle over TCP": lambda one: [(64, one.tcp, b"", ATTACKER)],
    "slow bodies over TCP": lambda one: [(100, one.tcp, SLOW_BODY, ATTACKER)],
    "idle on public": lambda one: [(1024, str(one.public.path), b"", ATTACKER)],
    "idle on public, two users": lambda one: [
        (600, str(one.public.path), b"", ATTACKER),
        (600, str(one.public.path), HALF_A_HEADER, OTHER_ATTACKER),
    ],
    "everywhere": lambda one: [
        (600, str(one.public.path), b"", ATTACKER),
        (64, one.tcp, SLOW_BODY, ATTACKER),
        (64, str(one.control.path), b"", OTHER_ATTACKER),
    ],
}


async def attack(
    responder: Responder,
    holding: Sequence[tuple[int, str, bytes, int]],
    seconds: float,
    prefix: Sequence[str] = (),
    clients: int = CLIENTS,
) -> None:
    async with responder.run(prefix), AsyncExitStack() as stack:
        for count, address, words, uid in holding:
            await stack.enter_async_context(responder.idle(count, address, words, uid))
        ends_at = time.monotonic() + seconds

        async def keep_on() -> None:
            while time.monotonic() < ends_at or responder.attempts < LEAST_ATTEMPTS:
                await responder.publish_and_ask()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(clients):
                tasks.create_task(keep_on())


@pytest.mark.parametrize("name", ATTACKS)
async def test_held_connections_keep_no_token_and_no_answer_away(
    folder: Path, name: str, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    responder = Responder(folder)
    await attack(responder, ATTACKS[name](responder), pytestconfig.getoption("attack_seconds"))
    record_property("attack", f"{name}: {responder.attempts} attempts, {len(responder.failures)} failures")
    assert responder.failures == []


@pytest.mark.parametrize("open_files", [64, 128, 256])
async def test_few_open_files_suffice_under_attack_and_the_log_stays_short(
    folder: Path, open_files: int, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    responder = Responder(folder)
    holding = [(200, str(responder.public.path), b"", ATTACKER), (100, responder.tcp, b"", ATTACKER)]
    prefix = ("prlimit", f"--nofile={open_files}", "--")
    await attack(responder, holding, pytestconfig.getoption("attack_seconds"), prefix, FEW_CLIENTS)
    lines = [line for line in responder.log.read_text().splitlines() if '"event": "publish"' not in line]
    lines = [line for line in lines if '"event": "fetch"' not in line]
    record_property("attack", f"{open_files} open files: {responder.attempts} attempts, {len(lines)} lines")
    assert responder.failures == []
    assert len(lines) < FEW_LINES


async def test_user_holds_at_most_half_of_the_public_socket(folder: Path) -> None:
    responder, half = Responder(folder), MAX_PUBLIC_CONNECTIONS / 2
    async with responder.run(()), responder.idle(MAX_PUBLIC_CONNECTIONS, str(responder.public.path), b"", ATTACKER):
        async with asyncio.timeout(READY_SECONDS):
            # Idle connections end after seconds, many at a time, and are opened again.
            while (held := await responder.held()) < half:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        assert held == half
