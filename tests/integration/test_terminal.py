"""What is different in a terminal: progress is live, and init asks."""

import asyncio
import os
import pty
from dataclasses import dataclass
from pathlib import Path

import pytest

from stand.host import running_host
from stand.issuer import Issuer
from stand.processes import PROGRAMS, search_path
from tests.integration.observed import installed, served

pytestmark = pytest.mark.integration

NAME = "www.example.org"


@dataclass(frozen=True, slots=True)
class Session:
    exit_code: int
    screen: str


async def type_and_watch(issuer: Issuer, *arguments: str, typed: str = "") -> Session:
    """The command with a terminal for standard input, output and error; all that it showed."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            str(PROGRAMS / "wellkeeper"),
            *arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"PATH": search_path(), "TERM": "xterm", "WELLKEEPER_CONFIG": str(issuer.config_path)},
            start_new_session=True,
        )
        os.close(theirs)
        os.write(ours, typed.encode())
        screen = await asyncio.to_thread(_all_of, ours)
        return Session(await process.wait(), screen.decode())
    finally:
        os.close(ours)


def _all_of(terminal: int) -> bytes:
    """Reading fails once the other side is closed."""
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:
        pass
    return shown


async def test_stages_are_shown_while_they_run_and_when_they_are_done(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        session = await type_and_watch(host.issuer, "renew")
        assert session.exit_code == 0, session.screen
        assert "web  finalize …" in session.screen
        for stage in ("order", "publish", "validate", "finalize", "install", "reload", "verify"):
            assert f"✓\x1b[0m web  {stage}" in session.screen
        assert "web: served, valid until " in session.screen.rstrip().splitlines()[-1]
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_init_asks_for_what_the_flags_leave_open_and_its_settings_are_good(folder: Path) -> None:
    issuer = Issuer(folder)
    folders = ("--state-dir", str(issuer.state_dir), "--certificates-dir", str(issuer.certificates_dir))
    answers = "letsencrypt-staging\nadmin@example.org\nwww.example.org, example.org\ny\n"
    session = await type_and_watch(issuer, "init", *folders, typed=answers)
    assert session.exit_code == 0, session.screen
    settings = issuer.config_path.read_text()
    assert 'ca = "letsencrypt-staging"' in settings
    assert 'identifiers = ["www.example.org", "example.org"]' in settings
    assert "terms_of_service_agreed = true" in settings
    reported = await issuer.run_well("trust")
    for line in reported.out.splitlines():
        assert line in session.screen
    made = await issuer.run_well("placeholder")
    assert made.out.startswith("www.example.org: placeholder")
    again = await issuer.run_well("init")
    assert again.out.startswith("kept ")
    assert "made " not in again.out
    assert (await issuer.run_well("trust")).out == reported.out
