"""Check that hooks can be run, and that the sandbox of the unit that runs them lets them work."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_issuer.outside.host.hooks import DEFAULT_PATH
from wellkeeper_issuer.outside.host.unit_states import Properties
from wellkeeper_node.findings import Finding, Verdict

ID: Final = "hooks"
_HOMES: Final = ("/home", "/root", "/run/user")
_TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108 - not used as such
_MOVE: Final = "Move it to /usr/local/sbin, for example, and change the path in the settings."
_READ_ONLY: Final = {"full": "/etc", "strict": "the whole file system"}
_FIRST_LINE: Final = 256


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The unit that runs the hooks, with its properties; none if they run without systemd."""

    unit: str
    properties: Properties

    @property
    def path(self) -> str:
        """Return the PATH that the unit sets; "" if it does not."""
        words = self.properties.get("Environment", "").split()
        return next((one.removeprefix("PATH=") for one in words if one.startswith("PATH=")), "")


async def check_hooks(
    commands: Mapping[str, Sequence[str]], sandbox: Sandbox, places: Mapping[str, str], path: str = DEFAULT_PATH
) -> list[Finding]:
    """Return `hooks`: each program exists and is executable, with its interpreter, also in the sandbox of the unit.

    `commands` are those of the settings by the hook's name, `places` their lines. `path` is PATH, unless the unit sets
    it.
    """
    where = sandbox.path or path
    found = []
    for hook, argv in commands.items():
        wrong = next(_faults(argv, sandbox, where), None)
        if wrong is None:
            found.append(Finding(ID, Verdict.OK, hook, f"{argv[0]} can be run"))
        else:
            verdict, cause, fix = wrong
            found.append(Finding(ID, verdict, hook, cause, fix, places.get(hook, "")))
    return found


def _faults(argv: Sequence[str], sandbox: Sandbox, path: str) -> Iterator[tuple[Verdict, str, str]]:
    program = shutil.which(argv[0], os.F_OK, path)
    if program is None:
        where = "does not exist" if "/" in argv[0] else f"is not in PATH ({path})"
        yield Verdict.FAIL, f"{argv[0]} {where}", "Install it, or correct the path in the settings."
        return
    if not os.access(program, os.X_OK):
        yield Verdict.FAIL, f"{program} is not executable", f"Run 'chmod +x {program}', unless its mount is noexec."
        return
    line = _first_line(Path(program))
    words = line[2:].decode(errors="replace").split()
    if line.startswith(b"#!") and line.endswith(b"\r") and "-S" not in words:
        cause = f"{program} cannot be run: its first line ends with CR LF"
        yield Verdict.FAIL, cause, f"Run \"sed -i 's/\\r$//' {program}\"."
        return
    interpreter = _interpreter(words) if line.startswith(b"#!") else ""
    if interpreter and shutil.which(interpreter, path=path) is None:
        cause = f"{interpreter}, the interpreter in the first line of {program}, is not installed"
        yield Verdict.FAIL, cause, "Install it, or correct that line."
    yield from _refused(program, sandbox.unit, sandbox.properties)


def _refused(program: str, unit: str, sandbox: Properties) -> Iterator[tuple[Verdict, str, str]]:
    """Yield what the sandbox prevents."""
    if sandbox.get("ProtectHome") in {"yes", "tmpfs"} and _is_below(program, _HOMES):
        yield Verdict.FAIL, f"{unit} has ProtectHome=, which hides {program}", _MOVE
    if sandbox.get("PrivateTmp") not in {None, "no"} and _is_below(program, _TEMPORARY):
        yield Verdict.FAIL, f"{unit} has PrivateTmp=, which hides {program}", _MOVE
    hidden = sandbox.get("InaccessiblePaths", "").replace("-", "").split()
    if _is_below(program, hidden):
        yield Verdict.FAIL, f"{unit} has InaccessiblePaths=, which hides {program}", _MOVE
    is_root = sandbox.get("User", "") in {"", "root", "0"}
    if not is_root and sandbox.get("NoNewPrivileges") == "yes" and Path(program).name == "sudo":
        fix = f"Run 'systemctl edit {unit}', and add 'NoNewPrivileges=no' below '[Service]'."
        yield Verdict.FAIL, f"{unit} has NoNewPrivileges=yes, with which sudo does not work", fix
    if place := _READ_ONLY.get(sandbox.get("ProtectSystem", "")):
        cause = f"{unit} makes {place} read-only (ProtectSystem={sandbox['ProtectSystem']}): hooks cannot write there"
        if not sandbox.get("ReadWritePaths"):
            fix = f"Run 'systemctl edit {unit}', and add 'ReadWritePaths=' with the directories that hooks write to."
            yield Verdict.WARN, cause, fix


def _first_line(program: Path) -> bytes:
    """Return the first line, as far as the kernel reads it; of a binary, some of its bytes."""
    try:
        with program.open("rb") as file:
            return file.read(_FIRST_LINE).partition(b"\n")[0]
    except OSError:
        return b""


def _interpreter(line: Sequence[str]) -> str:
    """Return the interpreter that the words of a first line name, or the program that env(1) starts."""
    words = [one for one in line if not one.startswith("-")]
    if words and Path(words[0]).name == "env":
        words = [one for one in words[1:] if "=" not in one]
    return words[0] if words else ""


def _is_below(program: str, folders: Sequence[str]) -> bool:
    return any(Path(program).is_relative_to(one) for one in folders)
