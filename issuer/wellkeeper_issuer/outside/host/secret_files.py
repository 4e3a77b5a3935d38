"""Read the secrets of notifications from the files that the settings name."""

import asyncio
import os
from pathlib import Path

from wellkeeper_issuer.errors import HookError
from wellkeeper_node import rights


async def read_secret(path: Path) -> str:
    """Return the first line of the file. Raises HookError."""
    try:
        return await asyncio.to_thread(_read, path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise HookError(f"cannot read {path}", why, "Write the secret there, on one line.") from error


def _read(path: Path) -> str:
    with os.fdopen(rights.open_file(path, follows_link=True)) as file:
        lines = file.read().splitlines()
    if not lines or not lines[0].strip():
        raise ValueError("it is empty")
    return lines[0].strip()
