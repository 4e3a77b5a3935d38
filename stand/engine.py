"""Container engines: the commands that Docker and podman have in common."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """An engine that has the images of the stand (`stand/images/build.sh`)."""

    async def run(self, *argv: str) -> str:
        """Return the output of a command of the engine. Raises StandError when it fails."""
        ...

    async def compose(self, folder: Path, *argv: str, variables: Mapping[str, str]) -> str:
        """Return the output of a command of Compose in a folder. Raises StandError when it fails."""
        ...
