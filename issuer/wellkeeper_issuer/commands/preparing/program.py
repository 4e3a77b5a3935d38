"""The files for nginx's container: snippets, the agent and the entrypoint, as this version has them."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wellkeeper_issuer.commands.files import shipped_files, shipped_mode
from wellkeeper_node import durable, presence

SNIPPETS: Final = "snippets"


def write_program(folder: Path) -> list[Path]:
    """Write what is missing or of another version, and return it. Raises OSError."""
    written = []
    for path, content, mode in _wanted(folder):
        if not _is_current(path, content, mode):
            durable.make_folder(path.parent, 0o755, durable.Owner())
            durable.replace_whole(path, content, mode)
            written.append(path)
    return written


def _wanted(folder: Path) -> Iterator[tuple[Path, bytes, int]]:
    for name, content in shipped_files():
        match name.split("/"):
            case ["nginx", "snippets", file]:
                yield folder / SNIPPETS / file, content, shipped_mode(name)
            case ["nginx", "agent", file]:
                yield folder / file, content, shipped_mode(name)


def _is_current(path: Path, content: bytes, mode: int) -> bool:
    return presence.is_file(path) and stat.S_IMODE(path.stat().st_mode) == mode and path.read_bytes() == content
