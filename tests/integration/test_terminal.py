"""Commands in a real terminal: live progress, and tables that fit."""

import asyncio
import fcntl
import json
import os
import pty
import re
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from stand.host import running_host
from stand.issuer import Issuer, IssuerSettings, NodeUnderTest
from stand.ports import free_port
from stand.processes import PROGRAMS, search_path
from tests.fleet import entry
from tests.integration.observed import installed, served
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode, NodeReport
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import Manifest

pytestmark = pytest.mark.integration

NAME = "www.example.org"


@dataclass(frozen=True, slots=True)
class Session:
    exit_code: int
    screen: str


async def type_and_watch(
    issuer: Issuer,
    *arguments: str,
    typed: str = "",
    interrupted_at: str = "",
    columns: int = 80,
    environment: Mapping[str, str] | None = None,
) -> Session:
    """Run the command in a terminal and return everything it showed.

    With `interrupted_at`, press Ctrl-C as soon as the terminal shows that.
    """
    controller, terminal_end = pty.openpty()
    try:
        fcntl.ioctl(terminal_end, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        process = await asyncio.create_subprocess_exec(
            *("setsid", "--ctty", str(PROGRAMS / "wellkeeper")),  # or Ctrl-C has no effect
            *arguments,
            stdin=terminal_end,
            stdout=terminal_end,
            stderr=terminal_end,
            env={
                "PATH": search_path(),
                "TERM": "xterm",
                "WELLKEEPER_CONFIG": str(issuer.config_path),
                "WELLKEEPER_OFFLINE": "1",
            }
            | dict(environment or {}),
        )
        os.close(terminal_end)
        os.write(controller, typed.encode())
        screen = await asyncio.to_thread(_all_of, controller, interrupted_at.encode())
        return Session(await process.wait(), screen.decode())
    finally:
        os.close(controller)


def _all_of(terminal: int, interrupted_at: bytes) -> bytes:
    """Read until the other side is closed, which makes reading fail; press Ctrl-C once that was shown."""
    shown, is_interrupted = b"", not interrupted_at
    try:
        while part := os.read(terminal, 65536):
            shown += part
            if not is_interrupted and interrupted_at in shown:
                os.write(terminal, b"\x03")
                is_interrupted = True
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


@pytest.mark.parametrize("columns", [40, 60, 80])
async def test_status_of_nodes_fits_a_narrow_terminal(alone: Issuer, columns: int) -> None:
    alone.config_path.write_text("fleet = { listen = ['10.0.0.1:8404'] }\n" + alone.config_path.read_text())
    await alone.make_keys()
    now, cause = datetime.now(UTC), 'nginx: [emerg] host not found in upstream "backend.example.org" in site.conf:7'
    refused = CertificateReport(3, "ab" * 32, CertificateState.REFUSED, cause, "Fix it.")
    keys = FleetKeys(alone.state_dir)
    keys.make()
    public = keys.current.public_key()
    message = sign_manifest(Manifest(1, int(now.timestamp()), {"web": entry(3)}, {}, {}), keys.current)
    ManifestFile(alone.state_dir / "manifest.jws", {key_id(public): public}).take(message)
    body = json.dumps(Report("1.2.3", now.timestamp() + 1, 1, certificates={"web": refused}).to_json())
    async with open_state(alone.state_dir / JOURNAL, may_write=True) as state:
        for name in ("web2", "a-node-in-amsterdam.example.org"):
            await state.fleet.record_node(EnrolledNode(name, "s", "x", ("*",), answers=True, enrolled_at=now))
        await state.fleet.record_reports(NodeReport("web2", 1, now, body))
    session = await type_and_watch(alone, "status", "--nodes", columns=columns)
    lines = [line.rstrip() for line in shown_lines(session)]
    assert [line for line in lines if len(line) > columns] == []
    shown = " ".join(" ".join(lines).split())
    for words in ("web2", "a-node-in-amsterdam.example.org", "0 of 1", "never", "host not found in upstream"):
        assert words in shown
