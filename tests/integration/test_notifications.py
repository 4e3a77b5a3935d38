"""Notifications by the daemon: one that is killed between a message and the answer sends it again with the same id."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Issuer
from tests.smtp import smtp_server
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.records import Notice

pytestmark = [pytest.mark.integration, pytest.mark.any_python]

AWAY: Final = "https://127.0.0.1:1/directory"
_LIMIT_SECONDS: Final = 60.0


class Silent:
    """An HTTP server that reads a whole request; it closes the connection without an answer, or with `answer`."""

    def __init__(self) -> None:
        self.port = 0
        self.ids: list[str] = []
        self.answer = b""
        self.may_close = asyncio.Event()
        self.has_read = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split()[0])
        self.ids.append(json.loads(await reader.readexactly(length))["id"])
        self.has_read.set()
        await self.may_close.wait()
        writer.write(self.answer)
        writer.close()


@asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    made = Silent()
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.may_close.set()
        server.close()


def configure(folder: Path, chat: int, mail: int) -> Issuer:
    issuer = Issuer(folder)
    issuer.config_path.parent.mkdir(parents=True)
    issuer.config_path.write_text(
        f"""
ca = "{AWAY}"
state_dir = "{issuer.state_dir}"
certificates_dir = "{issuer.certificates_dir}"
notifications.webhook = "http://127.0.0.1:{chat}/"
[[notifications.mail]]
name = "admin"
server = "127.0.0.1:{mail}"
security = "none"
sender = "w@example.org"
recipients = ["a@example.org"]
"""
    )
    AccountFolder(issuer.state_dir, (AWAY,)).make_keys()
    return issuer


async def test_message_is_repeated_with_its_id_when_the_daemon_was_killed_before_the_answer(folder: Path) -> None:
    async with silent() as chat, smtp_server() as admin:
        issuer = configure(folder, chat.port, admin.port)
        async with open_state(issuer.state_dir / "state.db", may_write=True) as state:
            message = Message("id-1", Notice.FAILURE, "web", "the CA says no", datetime.now(UTC))
            await state.outbox.put(message, ["webhook", "admin"], 10)
        async with asyncio.timeout(_LIMIT_SECONDS), IssuerDaemon(issuer) as daemon:
            await chat.has_read.wait()
            await daemon.end(signal.SIGKILL)
        chat.may_close.set()
        chat.answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        chat.has_read.clear()
        async with asyncio.timeout(_LIMIT_SECONDS), IssuerDaemon(issuer):
            await chat.has_read.wait()
            while await waiting(issuer):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
    assert chat.ids == ["id-1", "id-1"]
    assert {mail["Message-ID"].split("@")[0] for mail in admin.got} == {"<id-1"}


async def waiting(issuer: Issuer) -> int:
    async with open_state(issuer.state_dir / "state.db", may_write=False) as state:
        return sum(one.waiting for one in (await state.outbox.read_backlogs()).values())
