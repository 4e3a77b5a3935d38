"""The real `wellkeeper-node`: `join`, and `run` as a process."""

import asyncio
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from stand.processes import PROGRAMS, Process, Running, StandError, search_path

PROGRAM: Final = PROGRAMS / "wellkeeper-node"
_JOIN_SECONDS: Final = 150.0


class NodeProcess(Running):
    """`async with NodeProcess(folder, settings)`: `settings` are the lines of node.toml, which is in `folder`.

    It is ready once it has made its first report, whether or not a relay or the disk took it. `entering` is what runs a
    command on another host.
    """

    def __init__(
        self,
        folder: Path,
        settings: str,
        environment: Mapping[str, str] | None = None,
        *,
        name: str = "node",
        entering: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.state_dir = folder / "state"
        self.config_path = folder / "node.toml"
        self.config_path.write_text(settings)
        argv = [*entering, str(PROGRAM), "run", "--config", str(self.config_path)]
        self.process = Process(name, argv, folder / "node.log", environment)

    @property
    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    async def is_ready(self) -> bool:
        path = self.state_dir / "status.json"
        return path.exists() or f"cannot write {path}" in self.log


async def join(folder: Path, invite: str) -> dict[str, Any]:
    """Join a fleet as the node in `folder`, which a NodeProcess runs later. Return node.toml. Raises StandError."""
    config_path = folder / "node.toml"
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        "join",
        f"--config={config_path}",
        f"--state-dir={folder}/state",
        f"--certificates-dir={folder}/certificates",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8"},
    )
    try:
        async with asyncio.timeout(_JOIN_SECONDS):
            out, _ = await process.communicate(f"{invite}\n".encode())
    except TimeoutError:
        raise StandError(f"wellkeeper-node join has not ended after {_JOIN_SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise StandError(f"wellkeeper-node join ended with {process.returncode}: {out.decode()}")
    return tomllib.loads(config_path.read_text())


def to_toml(values: Mapping[str, Any]) -> str:
    """Return settings as TOML, with tables at the end; JSON's strings, lists and booleans are valid TOML."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", to_toml(value)]
    return "\n".join(lines) + "\n"
