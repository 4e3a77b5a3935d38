"""Proposals for commands, options, certificates and CAs, as a shell asks for them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.issuer.commands.conftest import Program
from wellkeeper_issuer.known_cas import CA_DIRECTORIES

SETTINGS = """\
ca = ["letsencrypt", "https://ca.example/directory"]
[[cas]]
name = "internal"
directory = "https://internal.example/directory"
[[certificates]]
name = "web"
identifiers = ["www.example.org"]
ca = ["internal"]
"""
OWN_CAS = ["letsencrypt", "ca.example", "internal", "letsencrypt-staging"]


@pytest.fixture
def configured(program: Program) -> Program:
    """Two certificates, one of them in a drop-in."""
    drop_ins = program.config.with_name("issuer.d")
    drop_ins.mkdir(parents=True)
    program.config.write_text(SETTINGS)
    (drop_ins / "mail.toml").write_text("[[certificates]]\nidentifiers = ['mail.example.org']\n")
    return program


def proposals(program: Program, line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what bash would show for the line, whose last word is incomplete."""
    words = line.split(" ")
    monkeypatch.setenv("_WELLKEEPER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"wellkeeper {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    finished = program.run()
    assert (finished.exit_code, finished.err) == (0, "")
    return [one.removeprefix("plain,") for one in finished.out.splitlines() if one]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("re", ["renew", "rehearse", "reload", "revoke", "restore"]),
        ("certificate ", ["add", "remove", "list"]),
        ("account d", ["deactivate"]),
        ("renew --d", ["--dry-run"]),
        ("renew --log-format ", ["auto", "text", "json"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("renew ", ["web", "mail.example.org"]),
        ("renew web ", ["mail.example.org"]),
        ("why w", ["web"]),
        ("why web ", []),
        ("rehearse m", ["mail.example.org"]),
        ("doctor m", ["mail.example.org"]),
        ("doctor --o", ["--offline"]),
        ("placeholder m", ["mail.example.org"]),
        ("revoke m", ["mail.example.org"]),
        ("certificate remove m", ["mail.example.org"]),
        ("account show --ca ", OWN_CAS),
        ("account rollover --ca i", ["internal"]),
        ("certificate add a.example --ca ", list(dict.fromkeys([*OWN_CAS, *CA_DIRECTORIES]))),
        ("revoke web --ca z", ["zerossl"]),
        ("init --ca goo", ["google", "google-staging"]),
        ("--config ", ["file,"]),
    ],
)
def test_proposals(configured: Program, line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert proposals(configured, line, monkeypatch) == expected


def test_settings_on_the_command_line_are_used(
    configured: Program, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = folder / "other.toml"
    other.write_text("[[certificates]]\nidentifiers = ['other.example']\n")
    assert proposals(configured, f"--config {other} why ", monkeypatch) == ["other.example"]
    assert proposals(configured, f"why --config {other} ", monkeypatch) == ["other.example"]


@pytest.mark.parametrize(
    "content",
    [b"ca = letsencrypt", b"bogus = 1", b"\xff", b"x = " + b"[" * 20000, b"ca = ['nowhere']"],
    ids=["not TOML", "unknown key", "not UTF-8", "deeply nested", "unknown CA"],
)
def test_invalid_settings_complete_nothing(
    configured: Program, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured.config.write_bytes(content)
    assert proposals(configured, "renew ", monkeypatch) == []
    assert proposals(configured, "account show --ca ", monkeypatch) == []
    assert proposals(configured, "renew --fo", monkeypatch) == ["--force"]


def test_well_known_cas_are_proposed_without_settings(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    assert proposals(program, "init --ca ", monkeypatch) == list(CA_DIRECTORIES)
    assert proposals(program, "renew ", monkeypatch) == []


@pytest.mark.parametrize("line", ["", "why ", "renew ", "account show --ca ", "certificate add --ca ", "init --ca "])
def test_libraries_for_requests_are_not_loaded(configured: Program, line: str) -> None:
    code = (
        "import sys\nfrom wellkeeper_issuer.__main__ import main\n"
        "try: main()\nexcept SystemExit: print([one for one in {'acme', 'aiohttp', 'requests'} if one in sys.modules])"
    )
    environment = {
        "WELLKEEPER_CONFIG": str(configured.config),
        "_WELLKEEPER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"wellkeeper {line}",
        "COMP_CWORD": str(len(line.split()) + 1),
    }
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert finished.stdout.startswith("plain,")
    assert finished.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_calls_the_program(program: Program, shell: str) -> None:
    finished = program.run("completion", shell)
    assert (finished.exit_code, finished.err) == (0, "")
    assert f"_WELLKEEPER_COMPLETE={shell}_complete" in finished.out


def test_unknown_shell_is_refused(program: Program) -> None:
    finished = program.run("completion", "csh")
    assert finished.exit_code == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in finished.err
