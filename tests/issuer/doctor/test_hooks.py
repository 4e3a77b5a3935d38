"""Hooks that can be run, also in the sandbox of their unit."""

import asyncio
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from wellkeeper_issuer.doctor.hooks import Sandbox, check_hooks
from wellkeeper_node.findings import Finding, Verdict

UNIT = "wellkeeper.service"


def script(folder: Path, first_line: str = "#!/bin/sh", mode: int = 0o755, name: str = "hook") -> str:
    path = folder / name
    path.write_text(f"{first_line}\nexit 0\n")
    path.chmod(mode)
    return str(path)


async def run(*argv: str) -> int:
    return await (await asyncio.create_subprocess_exec(*argv)).wait()


async def only(program: str, sandbox: Mapping[str, str] | None = None, path: str = "/usr/bin:/bin") -> Finding:
    places = {"deploy": "/etc/wellkeeper/issuer.toml:7"}
    (found,) = await check_hooks({"deploy": [program]}, Sandbox(UNIT, sandbox or {}), places, path)
    assert found.place == ("" if found.verdict is Verdict.OK else places["deploy"])
    assert (found.check, found.subject) == ("hooks", "deploy")
    return found


async def test_script_with_its_interpreter_and_a_binary_in_path_are_ok(tmp_path: Path) -> None:
    assert (await only(script(tmp_path))).verdict is Verdict.OK
    assert (await only("sh")).verdict is Verdict.OK
    assert (await only(script(tmp_path, "#!/usr/bin/env -S A=1 sh"))).verdict is Verdict.OK
    assert (await only(script(tmp_path, "#!"))).verdict is Verdict.OK
    assert await check_hooks({}, Sandbox(UNIT, {}), {}) == []


async def test_program_that_cannot_be_run_is_a_failure(tmp_path: Path) -> None:
    assert (await only(f"{tmp_path}/none")).cause == f"{tmp_path}/none does not exist"
    assert (await only("none-such")).cause == "none-such is not in PATH (/usr/bin:/bin)"
    found = await only(script(tmp_path, mode=0o644))
    assert (found.verdict, found.cause) == (Verdict.FAIL, f"{tmp_path}/hook is not executable")


async def test_missing_interpreter_is_a_failure(tmp_path: Path) -> None:
    for line in ("#!/none/python3", "#! /usr/bin/env none-such"):
        found = await only(script(tmp_path, line))
        assert (found.verdict, "the interpreter in the first line" in found.cause) == (Verdict.FAIL, True)


@pytest.mark.parametrize("line", ["#!/bin/sh\r", "#!/bin/sh -e\r", "#!/usr/bin/env sh\r"])
async def test_first_line_that_ends_with_cr_lf_is_a_failure(tmp_path: Path, line: str) -> None:
    program = script(tmp_path, line)
    found = await only(program)
    assert (found.verdict, found.cause) == (
        Verdict.FAIL,
        f"{program} cannot be run: its first line ends with CR LF",
    )
    command = found.fix.removeprefix('Run "').removesuffix('".')
    assert await run(*shlex.split(command)) == 0
    assert (await only(program)).verdict is Verdict.OK


async def test_env_splits_a_first_line_at_cr(tmp_path: Path) -> None:
    program = script(tmp_path, "#!/usr/bin/env -S sh\r")
    assert await run(program) == 0
    assert (await only(program)).verdict is Verdict.OK


async def test_path_of_the_unit_is_used(tmp_path: Path) -> None:
    script(tmp_path)
    assert (await only("hook")).verdict is Verdict.FAIL
    assert (await only("hook", {"Environment": f"LANG=C PATH={tmp_path}:/bin"})).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("sandbox", "verdict", "words"),
    [
        ({"PrivateTmp": "yes"}, Verdict.FAIL, "has PrivateTmp=, which hides"),
        ({"PrivateTmp": "no", "ProtectSystem": "yes", "ProtectHome": "no"}, Verdict.OK, "can be run"),
        ({"ProtectHome": "read-only"}, Verdict.OK, "can be run"),
        ({"InaccessiblePaths": "-/tmp /srv"}, Verdict.FAIL, "has InaccessiblePaths=, which hides"),
        ({"ProtectSystem": "full"}, Verdict.WARN, "makes /etc read-only (ProtectSystem=full)"),
        ({"ProtectSystem": "strict"}, Verdict.WARN, "makes the whole file system read-only"),
        ({"ProtectSystem": "strict", "ReadWritePaths": "/etc/haproxy"}, Verdict.OK, "can be run"),
    ],
)
async def test_sandbox_lets_the_hook_work(
    tmp_path: Path, sandbox: Mapping[str, str], verdict: Verdict, words: str
) -> None:
    found = await only(script(tmp_path), sandbox)
    assert (found.verdict, words in found.cause) == (verdict, True), found


@pytest.mark.parametrize(("user", "verdict"), [("", Verdict.OK), ("root", Verdict.OK), ("www", Verdict.FAIL)])
async def test_sudo_needs_new_privileges(tmp_path: Path, user: str, verdict: Verdict) -> None:
    found = await only(script(tmp_path, name="sudo"), {"NoNewPrivileges": "yes", "User": user})
    assert found.verdict is verdict


@pytest.mark.root  # it writes to root's home
async def test_hook_in_a_hidden_home_is_a_failure() -> None:
    with tempfile.TemporaryDirectory(dir="/root") as home:
        program = script(Path(home))
        found = await only(program, {"ProtectHome": "yes"})
        assert (found.verdict, found.cause) == (Verdict.FAIL, f"{UNIT} has ProtectHome=, which hides {program}")
