"""notify test: a line per target, and the exit status."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.issuer.commands.conftest import Program
from tests.issuer.commands.standbys import StandbyHost
from tests.json_docs import assert_documented
from tests.smtp import Mailbox, smtp_server

AWAY = "cannot notify the webhook at 127.0.0.1 of a test: Connection refused. If its settings"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Run it on another thread, as the program blocks this one."""
    loop = asyncio.new_event_loop()
    running = smtp_server()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result()
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def mailbox(program: Program) -> Iterator[Mailbox]:
    """Yield the mailbox of the target `admin`; `chat` is away."""
    with mail_server() as server:
        program.configure(
            more=f"""
[[notifications.webhooks]]
name = "chat"
url = "http://127.0.0.1:1/secret-path"
[[notifications.mail]]
name = "admin"
server = "127.0.0.1:{server.port}"
security = "none"
sender = "w@example.org"
recipients = ["a@example.org"]
"""
        )
        yield server


def test_each_target_has_a_line_and_one_that_is_away_fails(program: Program, mailbox: Mailbox) -> None:
    finished = program.run("notify", "test")
    assert finished.exit_code == 1
    chat, admin = finished.out.splitlines()
    assert chat.startswith(f"chat: {AWAY[:80]}")
    assert admin == "admin: sent"
    (mail,) = mailbox.got
    assert "This is a test: 'wellkeeper notify test' sent it" in mail.get_content()


def test_one_target_can_be_tested(program: Program, mailbox: Mailbox) -> None:
    finished = program.run("notify", "test", "admin")
    assert (finished.exit_code, finished.out) == (0, "admin: sent\n")
    assert len(mailbox.got) == 1


def test_result_is_json(program: Program, mailbox: Mailbox) -> None:
    finished = program.run("notify", "test", "--json")
    assert finished.exit_code == 1
    found = finished.json()
    assert_documented("notify test", found)
    chat, admin = found["targets"]
    assert (chat["name"], chat["error"]["why"]) == ("chat", "Connection refused")
    assert admin == {"name": "admin", "error": None}
    assert len(mailbox.got) == 1


def test_unknown_target_is_refused_with_the_known_ones(program: Program, mailbox: Mailbox) -> None:
    finished = program.run("notify", "test", "chta")
    assert (finished.exit_code, mailbox.got) == (2, [])
    assert "no notification target is named 'chta'\n  Write one of chat, admin." in finished.err


def test_settings_without_a_target_are_refused(program: Program) -> None:
    program.configure()
    finished = program.run("notify", "test")
    assert finished.exit_code == 2
    assert "cannot send a test notification" in finished.err


def test_command_runs_on_a_standby(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandbyHost(program, tmp_path, monkeypatch).restore()
    finished = program.run("notify", "test")
    assert finished.exit_code == 2
    assert "cannot send a test notification" in finished.err
