"""The relay as a process: options, signals, the service manager, and nothing that a restart loses."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest

from stand.processes import PROGRAMS
from tests.fakes import FakeClock
from tests.relay.conftest import RECORDS, media_type
from tests.relay.messages import PUBLIC_FLEET_KEY, STRANGER_KEY, WEB1_KEY, enrolment, signed
from tests.responder.http import ask
from wellkeeper_client import wire
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import encode_public_key
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.relay import Reader, RelayRecords
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

COMMAND: Final = (sys.executable, "-B", "-m", "wellkeeper_relay")


class Process:
    """A running relay: its process, the issuer's socket and the address for nodes."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, nodes: str) -> None:
        self.process = process
        self.issuer = UnixAddress(folder / "issuer.sock")
        self.nodes = nodes

    async def feed(self, key: str, message: bytes) -> int:
        return (await ask(self.issuer, "PUT", f"{RECORDS}/{key}", media_type(), message)).status

    async def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.process.wait()


def options(folder: Path) -> tuple[str, ...]:
    return (f"--issuer=unix:{folder}/issuer.sock", "--nodes=127.0.0.1:0", f"--fleet-key={PUBLIC_FLEET_KEY}")


@contextlib.asynccontextmanager
async def relay(
    folder: Path, environment: dict[str, str] | None = None, more: Sequence[str] = ()
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *options(folder), "--log-format=json", *more, stderr=asyncio.subprocess.PIPE, env=environment
    )
    try:
        assert process.stderr is not None
        event = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
        assert event["event"] == "start"
        yield Process(process, folder, event["nodes"][0])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def run(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stderr=asyncio.subprocess.PIPE)
    _, output = await process.communicate()
    return process.returncode, " ".join(output.decode().split())


def now() -> int:
    return int(time.time())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_the_relay_and_its_polls(folder: Path, number: int) -> None:
    async with relay(folder) as running:
        assert await running.feed("node/web1", enrolment("web1", WEB1_KEY, issued_at=now())) == 200
        records = RelayRecords(running.nodes, SystemClock(), Reader("web1", WEB1_KEY))
        async with aclosing(records.follow(Kind.BUNDLE)) as updates:
            await anext(updates)
            assert await running.stop(number) == 0
        await records.close()
        assert not running.issuer.path.exists()


async def test_relay_that_was_killed_is_filled_again_and_followed_on(folder: Path) -> None:
    message = signed(issued_at=now())
    issuer = RelayRecords(f"unix:{folder}/issuer.sock", FakeClock())
    async with relay(folder) as running:
        await issuer.put("bundle/www", message)
        await running.stop(signal.SIGKILL)
    async with relay(folder):
        assert await issuer.get("bundle/www") is None
        await issuer.put("bundle/www", message)
        found = await issuer.get("bundle/www")
        assert found is not None
        assert found.value == message
    await issuer.close()


async def test_service_manager_learns_that_it_is_ready_and_fed(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(60)
        async with relay(folder, {"NOTIFY_SOCKET": str(folder / "notify")}) as running:
            assert manager.recv(1000).decode() == "READY=1\nSTATUS=waits for the issuer"
            await running.feed("heartbeat/issuer", signed("heartbeat/issuer", issued_at=now()))
            assert manager.recv(1000).decode() == "STATUS=fed by the issuer: 1 records, 0 polls are waiting"
            await running.stop()
            assert manager.recv(1000) == b"STOPPING=1"


async def test_health_is_checked_from_the_command_line(folder: Path) -> None:
    check = ("--check-health", f"--issuer=unix:{folder}/issuer.sock")
    assert await run(*check) == (1, f"no healthy relay at unix:{folder}/issuer.sock")
    async with relay(folder):
        assert await run(*check) == (0, "")
        assert await (await asyncio.create_subprocess_exec(PROGRAMS / "wellkeeper-relay", *check)).wait() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--nodes=0.0.0.0:8404",), "plain HTTP needs a private IP address of this host"),
        (("--fleet-key=x",), "not a fleet key"),
        (("--issuer=127.0.0.1:1",), "must be a unix socket"),
        (("--issuer-mode=999",), "not a mode"),
        (("--nodes=unix:/run/x.sock", "--issuer=unix:/run/x.sock"), "given more than once"),
    ],
)
async def test_invalid_options_exit_with_2(folder: Path, changes: Sequence[str], message: str) -> None:
    status, output = await run(*options(folder), *changes)
    assert (status, message in output) == (2, True), output


async def test_settings_can_come_from_the_environment(folder: Path) -> None:
    environment = {
        "WELLKEEPER_RELAY_NODES": f"127.0.0.1:0 unix:{folder}/nodes.sock",
        "WELLKEEPER_RELAY_FLEET_KEY": f"{PUBLIC_FLEET_KEY} {encode_public_key(STRANGER_KEY.public_key())}",
        "WELLKEEPER_RELAY_ISSUER": f"unix:{folder}/issuer.sock",
        "WELLKEEPER_RELAY_LOG_FORMAT": "json",
    }
    process = await asyncio.create_subprocess_exec(*COMMAND, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    event = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
    assert (event["event"], len(event["nodes"]), len(event["fleet_key_ids"])) == ("start", 2, 2)
    process.terminate()
    await process.communicate()


async def test_missing_options_exit_with_2(folder: Path) -> None:
    status, output = await run(f"--issuer=unix:{folder}/issuer.sock")
    assert (status, "Missing --nodes or --fleet-key" in output) == (2, True), output


async def test_address_in_use_exits_with_1(folder: Path) -> None:
    async with relay(folder) as running:
        status, output = await run(*options(folder))
        assert (status, "another process is listening there" in output) == (1, True), output
        assert (await ask(running.issuer, "GET", wire.HEALTH_PATH)).status == 200
