"""Completion in a real bash: the proposals after a tab."""

import asyncio
import os
import pty
import re
from pathlib import Path

import pytest

from stand.processes import PROGRAMS, search_path
from wellkeeper_node.process import run

pytestmark = pytest.mark.integration

PROMPT = b"ready> "


@pytest.fixture
def settings(folder: Path) -> Path:
    path = folder / "issuer.toml"
    names = ("web", "webmail", "imap")
    path.write_text("".join(f"[[certificates]]\nname = '{one}'\nidentifiers = ['{one}.example']\n" for one in names))
    return path


def spoil(settings: Path, content: str | None) -> None:
    if content is None:
        settings.unlink()
    else:
        settings.write_text(content)


def environment(settings: Path) -> dict[str, str]:
    return {
        "PATH": f"{PROGRAMS}:{search_path()}",
        "WELLKEEPER_CONFIG": str(settings),
        "TERM": "dumb",
        "PS1": PROMPT.decode(),
        "HOME": str(settings.parent),
    }


async def proposals(settings: Path, *words: str) -> list[str]:
    """Return COMPREPLY after bash has called the function that completes the last word."""
    line = " ".join(f"'{word}'" for word in ("wellkeeper", *words))
    script = (
        'eval "$(wellkeeper completion bash)"\n'
        f"COMP_WORDS=({line}) COMP_CWORD={len(words)}\n"
        "_wellkeeper_completion wellkeeper\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    finished = await run(["bash", "-c", script], 120, environment=environment(settings))
    assert finished.exit_code == 0, finished
    return finished.output.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ren",), ["renew"]),
        (("renew", "web", ""), ["webmail", "imap"]),
        (("why", "web"), ["web", "webmail"]),
        (("renew", "--dr"), ["--dry-run"]),
        (("account", "show", "--ca", ""), ["letsencrypt", "letsencrypt-staging"]),
    ],
)
async def test_bash_completes_commands_options_certificates_and_cas(
    settings: Path, words: tuple[str, ...], expected: list[str]
) -> None:
    assert await proposals(settings, *words) == expected


async def test_name_is_completed_as_it_is_typed(settings: Path) -> None:
    screen = await type_in_bash(settings, "wellkeeper why im\t\n")
    assert "Certificate imap is configured for imap.example." in screen


@pytest.mark.parametrize("content", ["bogus = 1", "ca = [", None], ids=["unknown key", "not TOML", "missing"])
async def test_invalid_settings_print_nothing_at_the_prompt(settings: Path, content: str | None) -> None:
    spoil(settings, content)
    screen = await type_in_bash(settings, "wellkeeper why \t\t\x15")
    assert set(re.findall(r"\w+", screen)) == {"wellkeeper", "why", "ready", "exit"}


async def type_in_bash(settings: Path, keys: str) -> str:
    """Type the keys and `exit` at the prompt of an interactive bash that completes; return what appeared since."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *("bash", "--norc", "--noprofile", "-i"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(settings),
            start_new_session=True,
        )
        os.close(theirs)
        screen = await asyncio.wait_for(asyncio.to_thread(_typed, ours, keys), 120)
        await process.wait()
        return screen
    finally:
        os.close(ours)


def _typed(terminal: int, keys: str) -> str:
    _read_until(terminal, PROMPT)
    os.write(terminal, b'eval "$(wellkeeper completion bash)"\n')
    _read_until(terminal, PROMPT)
    os.write(terminal, f"{keys}exit\n".encode())
    return _read_until(terminal, b"").decode()


def _read_until(terminal: int, end: bytes) -> bytes:
    """Read until the output ends with this text, or until bash has ended."""
    shown = b""
    while not end or not shown.endswith(end):
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
    return shown
