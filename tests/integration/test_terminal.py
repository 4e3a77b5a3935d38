"""Commands in a real terminal: live progress, and tables that fit."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from stand.host import running_host
from stand.issuer import Issuer, IssuerSettings, NodeUnderTest
from stand.ports import free_port
from stand.processes import PROGRAMS, search_path
from tests.integration.observed import installed, served

pytestmark = pytest.mark.integration

NAME = "www.example.org"


@dataclass(frozen=True, slots=True)
class Session:
    exit_code: int
    screen: str


async def type_and_watch(
    issuer: Issuer, *arguments: str, typed: str = "", columns: int = 80, environment: Mapping[str, str] | None = None
) -> Session:
    """Run the command in a terminal and return everything it showed."""
    controller, terminal_end = pty.openpty()
    try:
        fcntl.ioctl(terminal_end, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        process = await asyncio.create_subprocess_exec(
            str(PROGRAMS / "wellkeeper"),
            *arguments,
            stdin=terminal_end,
            stdout=terminal_end,
            stderr=terminal_end,
            env={"PATH": search_path(), "TERM": "xterm", "WELLKEEPER_CONFIG": str(issuer.config_path)}
            | dict(environment or {}),
            start_new_session=True,
        )
        os.close(terminal_end)
        os.write(controller, typed.encode())
        screen = await asyncio.to_thread(_all_of, controller)
        return Session(await process.wait(), screen.decode())
    finally:
        os.close(controller)


def _all_of(terminal: int) -> bytes:
    """Read until the other side is closed, which makes reading fail."""
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:
        pass
    return shown


async def test_stages_are_shown_while_they_run_and_when_they_are_done(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        session = await type_and_watch(host.issuer, "renew", "-v")
        assert session.exit_code == 0, session.screen
        assert "web  finalize …" in session.screen
        for stage in ("order", "publish", "validate", "finalize", "install", "reload", "verify"):
            assert f"✓\x1b[0m web  {stage}" in session.screen
        assert "web: served, valid until " in session.screen.rstrip().splitlines()[-1]
        assert await served(host, NAME) == installed(host.issuer, "web")


async def test_stages_are_not_listed_without_verbose(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        session = await type_and_watch(host.issuer, "renew")
        assert session.exit_code == 0, session.screen
        assert "web  finalize …" in session.screen
        assert "✓" not in session.screen
        assert "web: served, valid until " in session.screen.rstrip().splitlines()[-1]


LONG = "a-long-name-of-a-host.of-a-department.of-an-organisation.example.org"
CERTIFICATES = {"web": [NAME, "example.org"], LONG: [LONG], **{f"n{one}": [f"n{one}.example"] for one in range(45)}}


@pytest.fixture
def alone(folder: Path) -> Issuer:
    """Yield an issuer without CA, responder and nginx, whose certificates fail or are missing."""
    issuer = Issuer(folder)
    http, https = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    node = NodeUnderTest("local", f"unix:{folder}/control.sock", http, https)
    ca_bundle = make_server_certificate(folder / "ca", ("localhost",)).ca_bundle
    url = f"https://localhost:{free_port()}/dir"
    issuer.configure(IssuerSettings(url, ca_bundle, CERTIFICATES, (node,), ["nginx"], folder / "nginx.pid"))
    return issuer


def shown_lines(session: Session) -> list[str]:
    """Return the lines without colours and cursor movements; overwritten lines are included."""
    return re.split("[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", session.screen))


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("command", ["status", "status --all", "list", "why web", "renew n1 n2", "renew -v"])
async def test_lines_fit_the_terminal(alone: Issuer, command: str, columns: int) -> None:
    await alone.make_keys()
    await alone.run("renew", "web")
    session = await type_and_watch(alone, *command.split(), columns=columns)
    assert [line for line in shown_lines(session) if len(line) > columns] == []
    if command in {"status --all", "list"}:
        assert LONG in "".join(shown_lines(session))


async def test_status_of_many_certificates_fits_one_screen(alone: Issuer) -> None:
    session = await type_and_watch(alone, "status", columns=100)
    lines = shown_lines(session)
    assert lines[0] == "47 certificates: 47 missing"
    assert "… and 7 more, 7 missing; --all lists them" in lines
    assert "\x1b[" in session.screen


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
@pytest.mark.parametrize("command", ["status", "list"])
async def test_colours_can_be_turned_off(alone: Issuer, environment: dict[str, str], command: str) -> None:
    session = await type_and_watch(alone, command, columns=100, environment=environment)
    assert "web" in session.screen
    assert "\x1b" not in session.screen


async def test_renewal_of_many_certificates_ends_with_a_summary(alone: Issuer) -> None:
    await alone.make_keys()
    session = await type_and_watch(alone, "renew", "n1", "n2", "n3", columns=200)
    assert session.exit_code == 1
    assert session.screen.count("no answer from the CA") <= 3
    assert shown_lines(session)[-2].startswith("3 certificates: ")
