"""Keep on disk what is not finished: installed versions that nginx has not loaded, and deploy hooks that have not run.

After a crash, the first say which version to go back to if nginx refuses the new one.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from wellkeeper_node import durable
from wellkeeper_node.model import Flip

_FILE: Final = "pending.json"
_MODE: Final = 0o600
_FLIPS: Final = "flips"
_HOOKS: Final = "hooks"


class Pending:
    """Implements `ports.ReloadRecords`. Each change is durable when its call returns. Raises InstallError.

    A file that is damaged counts as none: then nginx is reloaded again, with nothing to go back to.
    """

    def __init__(self, state_dir: Path, *, has_hook: bool) -> None:
        self._path = state_dir / _FILE
        self._has_hook = has_hook
        self._found: dict[str, dict[str, Any]] | None = None
        # Certificates change at the same time: the file is read once, and written in the order of the changes.
        self._lock = asyncio.Lock()

    async def flip(self, lineage: str, after: str) -> Flip | None:
        """Return the switch to this version if nginx has not loaded it."""
        flips = (await self._read())[_FLIPS]
        return Flip(lineage, *flips[lineage]) if flips.get(lineage, (None, None))[1] == after else None

    async def record_flip(self, flip: Flip) -> None:
        """Record it before the switch; what to go back to is the version that nginx loaded last."""
        found = await self._read()
        if flip.before == flip.after:
            return
        before, after = found[_FLIPS].get(flip.lineage, (None, None))
        found[_FLIPS][flip.lineage] = (before if after == flip.before else flip.before, flip.after)
        await self._write(found)

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        """Implement `ports.ReloadRecords.record_reloaded`; their hooks are due now."""
        found = await self._read()
        loaded = [name for name in lineages if found[_FLIPS].pop(name, None) is not None]
        if self._has_hook:
            found[_HOOKS].update(dict.fromkeys(loaded, True))
        if loaded:
            await self._write(found)

    async def hooks(self) -> tuple[str, ...]:
        """Return the lineages whose deploy hook is due."""
        return tuple((await self._read())[_HOOKS])

    async def record_hook(self, lineage: str) -> None:
        """Record that the deploy hook ran."""
        found = await self._read()
        del found[_HOOKS][lineage]
        await self._write(found)

    async def _read(self) -> dict[str, dict[str, Any]]:
        async with self._lock:
            if self._found is None:
                with durable.translated(self._path):
                    self._found = await durable.to_its_end(lambda: _parsed(self._path))
            return self._found

    async def _write(self, found: Mapping[str, Any]) -> None:
        async with self._lock:
            text = json.dumps(found).encode()
            with durable.translated(self._path):
                await durable.to_its_end(lambda: durable.replace_whole(self._path, text, _MODE))


def _parsed(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_bytes())
        return {
            _FLIPS: {name: (before, str(after)) for name, (before, after) in found[_FLIPS].items()},
            _HOOKS: dict.fromkeys(found[_HOOKS], True),
        }
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return {_FLIPS: {}, _HOOKS: {}}
